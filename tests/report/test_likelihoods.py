"""The terminal shows nats per token and bits per byte of texts, and how many items were cut."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from summaries import summarise_records
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.gather import gather
from rayforget.report.words.likelihoods import text_notes
from rayforget.values.scores import Score


def render(change) -> str:
    records, test = make_records(trials=4, fractions=(1.0,))
    changed = [
        replace(r, points=tuple(replace(p, scores={n: change(n, s) for n, s in p.scores.items()}) for p in r.points))
        for r in records
    ]
    summary = summarise_records(records, test, num_resamples=0)
    out = StringIO()
    Console(file=out, width=100, color_system=None).print(text_notes(summary, gather(changed, ROLES).val))
    return out.getvalue()


def test_nothing_is_said_of_tasks_without_texts() -> None:
    assert render(lambda name, score: score).strip() == ""


def test_likelihoods_stand_beside_those_of_theta_0() -> None:
    name = ROLES[0].name
    shown: list[Score] = []

    def change(task: str, score: Score) -> Score:
        if task != name:
            return score
        shown.append(
            replace(score, rule="bits_per_byte", items=score.items.astype("float32") + 1, facts={"tokens": 700})
        )
        return shown[-1]

    text = render(change)
    row = next(line for line in text.splitlines() if line.split()[:1] == [name])
    theta_0 = shown[0].readings
    assert f"{theta_0['nll_per_token']:.4f}" in row
    assert f"{theta_0['bits_per_byte']:.4f}" in row
    assert len(row.split()) == 5
    assert "nats/token" in text
    assert "bits/byte" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("cut", [0, 3])
def test_cut_items_are_told(cut: int) -> None:
    text = render(lambda name, score: replace(score, facts={"cut_items": cut}))
    assert text.count("lost the beginning") == (len(ROLES) if cut else 0)
    assert (f"{ROLES[0].name}: 3 of " in text) == bool(cut)
