"""A summary and scores on `val` -> the readings behind scores of texts: nats per token, bits per byte, cut items."""

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rayforget.frontier.points import THETA_0, PointKey
from rayforget.frontier.summary import Summary
from rayforget.report.words.numbers import name_alpha
from rayforget.values.scores import CUT_ITEMS, Score

_FIGURES = {"nll_per_token": "nats/token", "bits_per_byte": "bits/byte"}


def text_notes(summary: Summary, val: Mapping[PointKey, Mapping[str, Score]]) -> RenderableType:
    """Likelihoods of theta_0 and of the frontier's point with the best speciality, and the number of cut items.

    Tasks that have neither are left out.

    Args:
        summary: gives the points.
        val: scores of at least the frontier's points and theta_0's.
    """
    theta_0 = val[summary.points[summary.theta_0.points[0]].key]
    parts: list[RenderableType] = []
    likely = [name for name, score in theta_0.items() if score.readings]
    if likely and summary.frontier:
        best = max((summary.points[i] for i in summary.frontier), key=lambda point: point.speciality)
        columns = {"θ0": theta_0}
        if best.trial != THETA_0:
            columns[f"{best.trial} {name_alpha(best).replace(' = ', '=')}"] = val[best.key]
        note = "on val; lower is better; the frontier's best speciality beside θ0"
        parts += [Text(), Text.assemble(("Likelihoods", "bold"), (f"   {note}", "dim")), _table(likely, columns)]
    for name, score in theta_0.items():
        if cut := score.facts.get(CUT_ITEMS):
            line = f"{name}: {cut} of {len(score.items)} items of val lost the beginning of a context too long to read"
            parts.append(Padding(Text(line, style="dim"), (0, 0, 0, 2)))
    return Group(*parts)


def _table(tasks: list[str], columns: Mapping[str, Mapping[str, Score]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    table.add_column("task", no_wrap=True)
    for title in columns:
        for words in _FIGURES.values():
            table.add_column(Text(f"{title}\n{words}"), justify="right")
    for task in tasks:
        readings = [scores[task].readings for scores in columns.values()]
        table.add_row(
            Text(task), *(f"{found[name]:.4f}" if name in found else "—" for found in readings for name in _FIGURES)
        )
    return table
