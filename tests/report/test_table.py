import dataclasses
from io import StringIO

import pytest
from rich.console import Console
from summaries import KINDS, make_summary

from rayforget.frontier.summary import Summary
from rayforget.report.terminal.tables import frontier_table
from rayforget.report.words.numbers import format_recovered, percent


def render(summary: Summary, width: int = 100) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(frontier_table(summary))
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_of_a_sweep_fits_100_columns(kind: str) -> None:
    text = render(make_summary(kind))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "…" not in text
    assert "None" not in text


def test_shows_every_frontier_point_baseline_and_method() -> None:
    summary = make_summary("full")
    lines = render(summary).splitlines()
    for i in summary.frontier:
        point, tested = summary.points[i], summary.test[i]
        numbers = (percent(point.speciality), percent(point.generality), percent(tested.speciality))
        assert any(point.trial in line and all(number in line for number in numbers) for line in lines)
    for method in summary.methods:
        row = next(line for line in lines if line.startswith(f"{method.method} "))
        for recovery in (method.alpha_1, method.curve):
            assert not method.trainings or format_recovered(recovery.test, recovery.interval) in row
    assert sum("▸" in line for line in lines) == 2  # the point, and what the mark means


def test_names_in_brackets_are_no_markup() -> None:
    summary = make_summary("full")
    methods = tuple(dataclasses.replace(method, method=f"[red]{method.method}[/red]") for method in summary.methods)
    assert "[red]kd[/red]" in render(dataclasses.replace(summary, methods=methods))
