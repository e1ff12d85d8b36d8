"""The terminal shows nats per token and bits per byte of texts, and how many items were cut."""

from collections.abc import Callable
from dataclasses import replace

import golden_text
from summaries import printed, summarise_records
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.gather import gather
from rayforget.report.words.likelihoods import text_notes
from rayforget.values.scores import Score


def render(change: Callable[[str, Score], Score]) -> str:
    records, test = make_records(trials=4, fractions=(1.0,))
    changed = [
        replace(r, points=tuple(replace(p, scores={n: change(n, s) for n, s in p.scores.items()}) for p in r.points))
        for r in records
    ]
    summary = summarise_records(records, test, num_resamples=0)
    return printed(text_notes(summary, gather(changed, ROLES).val))


def test_nothing_is_said_of_tasks_without_texts_or_cut_items() -> None:
    assert render(lambda _, score: replace(score, facts={"cut_items": 0})).strip() == ""


def test_likelihoods_stand_beside_those_of_theta_0_and_cut_items_below() -> None:
    shown: list[Score] = []

    def change(task: str, score: Score) -> Score:
        if task != ROLES[0].name:
            return replace(score, facts={"cut_items": 3})
        items = score.items.astype("float32") + 1
        shown.append(replace(score, rule="bits_per_byte", items=items, facts={"tokens": 700}))
        return shown[-1]

    text = render(change)
    theta_0 = shown[0].readings
    for name in ("nll_per_token", "bits_per_byte"):
        assert f" {theta_0[name]:.4f} " in text
    assert max(map(len, text.splitlines())) <= 100
    golden_text.check("reports", "likelihoods and cut texts", text)
