import dataclasses
from collections.abc import Callable

import golden_text
import pytest
from summaries import KINDS, full_of_remarks, make_paths_summary, make_summary, printed, summarise_records
from synthetic_sweep import make_records

from rayforget.frontier.summary import Summary
from rayforget.report.terminal.tables import frontier_table
from rayforget.report.words.footnotes import footnotes
from rayforget.report.words.numbers import format_recovered, percent, read


@pytest.mark.parametrize("kind", [*KINDS, "several paths"])
def test_every_state_of_a_sweep_fits_100_columns_and_has_a_reading(kind: str) -> None:
    summary = full_of_remarks(make_paths_summary()) if kind == "several paths" else make_summary(kind)
    text = printed(frontier_table(summary))
    assert max(map(len, text.splitlines())) <= 100
    sentences, notes = read(summary), footnotes(summary)
    assert not any(word in line for word in ("None", "nan", "…") for line in (text, *notes))
    if kind in ("full", "theta_0 alone", "several paths"):
        golden_text.check("reports", f"terminal: {kind}", text)
    else:
        golden_text.check("reports", f"sentences and footnotes: {kind}", "\n".join([*sentences, "", *notes]))


@pytest.mark.parametrize("make", [lambda: make_summary("full"), make_paths_summary], ids=["lerp", "paths"])
def test_numbers_are_those_of_the_summary(make: Callable[[], Summary]) -> None:
    summary = make()
    lines = printed(frontier_table(summary), width=140).splitlines()
    for i in summary.frontier:
        point, tested = summary.points[i], summary.test[i]
        numbers = [percent(each) for each in (point.speciality, point.generality, tested.speciality)]
        shown = (point.trial, f"{point.alpha:g} ", *numbers, *([point.path] if summary.paths else []))
        assert any(all(part in line for part in shown) for line in lines)
    for method in summary.methods:
        row = next(line for line in lines if line.startswith(f"{method.method} "))
        for recovery in (method.alpha_1, method.curve):
            assert not method.trainings or format_recovered(recovery.test, recovery.interval) in row
    for path in summary.paths:
        row = next(line for line in lines if line.startswith(path.path) and "α" not in line)
        for recovery in (path.alone, path.with_lerp):
            assert format_recovered(recovery.test, recovery.interval) in row
        assert str(path.models) in row


def test_names_in_brackets_are_no_markup() -> None:
    summary = make_summary("full")
    methods = tuple(dataclasses.replace(method, method=f"[red]{method.method}[/red]") for method in summary.methods)
    assert "[red]kd[/red]" in printed(frontier_table(dataclasses.replace(summary, methods=methods)))


def test_with_one_seed_of_plain_no_coverage_is_claimed() -> None:
    records, test = make_records(trials=14, fractions=(1.0,))
    kept = [record for record in records if record.trial not in ("plain-1", "plain-2")]
    tested = {key: scores for key, scores in test.items() if key.trial not in ("plain-1", "plain-2")}
    (note,) = [
        line for line in footnotes(summarise_records(kept, tested, num_resamples=50)) if "intervals over" in line
    ]
    assert "not over plain's seeds" in note
    assert "% of them held" not in note
