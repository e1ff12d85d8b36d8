"""A summary -> the tables that a terminal shows, made for 100 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rayforget.frontier.recovered import Pair
from rayforget.frontier.summary import Measure, MethodSummary, Recovery, Summary
from rayforget.report.terminal import one_training
from rayforget.report.words import paths, whole_splits
from rayforget.report.words.footnotes import footnotes
from rayforget.report.words.numbers import (
    format_measure,
    format_recovered,
    headline_pick,
    name_method,
    percent,
    read,
)
from rayforget.report.words.plain import mean_of_seeds, recovered_meaning, seed_word

PICKED = "▸ "
"""Marks the picked point."""


def frontier_table(summary: Summary) -> RenderableType:
    """The reading, the baselines, the frontier and what each method recovers."""
    num_points, picked = len(summary.points), headline_pick(summary)
    chosen = f"chosen on val among {num_points} points" if num_points > 1 else "one point"
    marked = f"; {PICKED}best speciality for at most 1 point of generality" if picked else ""
    frontier = points_table(summary, summary.frontier, None if picked is None else picked.index)
    sections: list[tuple[str, str, RenderableType]] = [
        ("Baselines", "%, ± one standard error over items", _baselines_table(summary)),
        ("Frontier", f"{chosen}; %, ± one standard error{marked}", frontier),
        ("Recovered", f"1 = {recovered_meaning(summary).replace(' with', ',')}", _recovered_table(summary)),
    ]
    if rows := one_training.one_training_rows(summary):
        alone = _plain_table(one_training.TEXT_HEADS, one_training.NUMBER_HEADS, rows)
        sections.append((one_training.TITLE, one_training.NOTE, alone))
    if summary.paths:
        sections.append((paths.TITLE, paths.NOTE, _paths_table(summary)))
    if summary.whole:
        wholes = _plain_table(whole_splits.TEXT_HEADS, whole_splits.NUMBER_HEADS, whole_splits.whole_rows(summary))
        sections.append((whole_splits.TITLE, whole_splits.NOTE, wholes))
    parts: list[RenderableType] = [Text(summary.name, style="bold"), Text()]
    if summary.notice is not None:
        parts += [Text(summary.notice, style="bold red"), Text()]
    parts += [Text(line) for line in read(summary)]
    for title, note, table in sections:
        parts += [Text(), Text.assemble((title, "bold"), (f"   {note}", "dim")), table]
    parts += [Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in footnotes(summary)]
    return Group(*parts)


def _baselines_table(summary: Summary) -> Table:
    table = _table()
    table.add_column("model", no_wrap=True)
    _add_measure_columns(table)
    theta_0, plain = summary.theta_0, summary.plain
    _add_row(table, "θ0, pretrained", *_measure_cells(theta_0.val), *_measure_cells(theta_0.test))
    if plain is None:
        _add_row(table, "plain fine-tuning", "not measured", "—", "—", "—")
        return table
    _add_row(
        table, f"plain, {mean_of_seeds(summary, one='1')}", *_measure_cells(plain.val), *_measure_cells(plain.test)
    )
    if len(plain.points) > 1:
        _add_row(
            table,
            f"  spread (sd) over {seed_word(summary)}s",
            *_spread_cells(plain.spread_val),
            *_spread_cells(plain.spread_test),
            style="dim",
        )
    return table


def points_table(summary: Summary, indices: Sequence[int], picked: int | None) -> Table:
    """Points with their scores on both splits, in this order; the picked one is marked.

    Args:
        summary: the sweep's.
        indices: the points, of the report.
        picked: the index of the picked one.
    """
    points = [summary.points[i] for i in indices]
    trials_name_it = all(point.trial.endswith(point.method) for point in points)
    table = _table()
    table.add_column("  trial", no_wrap=True)
    if not trials_name_it:
        table.add_column("method", no_wrap=True)
    table.add_column("\ntrained", justify="right", no_wrap=True)
    table.add_column("\nα", justify="right", no_wrap=True)
    if summary.paths:
        table.padding = (0, 1, 0, 0)
        table.add_column("\npath", overflow="fold")
    _add_measure_columns(table)
    for i, point in zip(indices, points, strict=True):
        marked = i == picked
        _add_row(
            table,
            (PICKED if marked else "  ") + point.trial,
            *([] if trials_name_it else [name_method(point.method)]),
            f"{percent(point.fraction, 0)} %",
            f"{point.alpha:g}",
            *([point.path] if summary.paths else []),
            *_measure_cells(summary.val[i]),
            *_measure_cells(summary.test.get(i)),
            style="bold" if marked else "",
        )
    return table


def _recovered_table(summary: Summary) -> Table:
    """What each method recovers without and with interpolation."""
    table = _table()
    table.add_column("method", no_wrap=True)
    table.add_column("trainings", justify="right")
    for what in ("α = 1 alone", "all α"):
        table.add_column(f"{what}\ntest [95 %]", justify="right", no_wrap=True)
        table.add_column("\nval*", justify="right", no_wrap=True)
    for method in summary.methods:
        _add_row(table, *method_cells(method))
    table.add_section()
    _add_row(table, *method_cells(summary.together), style="bold")
    if title := frontier_row_title(summary):
        _add_row(table, title, "", "", "", *recovery_cells(summary.recovery))
    return table


def _paths_table(summary: Summary) -> Table:
    """What each path recovers alone and beside the lerp."""
    table = _table()
    table.add_column(paths.HEADS[0])
    for head in paths.HEADS[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    for path in summary.paths:
        _add_row(table, *paths.path_cells(path), *recovery_cells(path.alone), *recovery_cells(path.with_lerp))
    return table


def _plain_table(text_heads: Sequence[str], number_heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of cells made elsewhere, for the terminal and the page alike."""
    table = _table()
    for head in text_heads:
        table.add_column(head, no_wrap=True)
    for head in number_heads:
        table.add_column(head, justify="right")
    for row in rows:
        _add_row(table, *row)
    return table


def frontier_row_title(summary: Summary) -> str | None:
    """What the frontier has besides the lerp's common alphas; None if nothing."""
    refined = any(not point.coarse for point in summary.points)
    if summary.paths:
        return "all, every α and path"
    return "all, refined α too" if refined else None


def method_cells(method: MethodSummary) -> list[str]:
    """One row of the table of recovered values."""
    trainings = str(method.trainings) + (f" (+{method.failed} failed)" if method.failed else "")
    values = [*recovery_cells(method.alpha_1), *recovery_cells(method.curve)] if method.trainings else ["—"] * 4
    return [name_method(method.method), trainings, *values]


def recovery_cells(recovery: Recovery) -> list[str]:
    """What is recovered on `test` with its interval, and on `val`."""
    return [format_recovered(recovery.test, recovery.interval), format_recovered(recovery.val)]


def _measure_cells(measure: Measure | None) -> list[str]:
    if measure is None:
        return ["—", "—"]
    return [
        format_measure(measure.speciality, measure.speciality_error),
        format_measure(measure.generality, measure.generality_error),
    ]


def _spread_cells(spread: Pair | None) -> list[str]:
    return ["—", "—"] if spread is None else [percent(spread[0]), percent(spread[1])]


def _add_measure_columns(table: Table) -> None:
    for split in ("val", "test"):
        table.add_column(f"speciality\n{split}", justify="right", no_wrap=True)
        table.add_column(f"generality\n{split}", justify="right", no_wrap=True)


def _add_row(table: Table, *cells: str, style: str = "") -> None:
    """Adds cells literally: a name in square brackets is no markup."""
    table.add_row(*(Text(cell) for cell in cells), style=style)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
