"""A summary -> the tables of its page, as HTML."""

from collections.abc import Sequence
from html import escape

from rayforget.frontier.points import PLAIN
from rayforget.frontier.summary import Baseline, Measure, Summary
from rayforget.report.method_styles import assign_looks
from rayforget.report.terminal import one_training
from rayforget.report.terminal.tables import frontier_row_title, method_cells, recovery_cells
from rayforget.report.words import paths, whole_splits
from rayforget.report.words.footnotes import footnotes
from rayforget.report.words.numbers import format_measure, headline_pick, name_alpha, name_method, percent
from rayforget.report.words.plain import mean_of_seeds, seed_word

_SPLITS = '<th class="group" colspan="2">val</th><th class="group" colspan="2">test</th>'
_PAIR = "<th>speciality</th><th>generality</th>"


def baselines_html(summary: Summary) -> str:
    """theta_0 and the mean of plain fine-tuning, on both splits."""
    rows = [_row(["θ0, pretrained", *_baseline_cells(summary.theta_0)], num_text=1)]
    plain = summary.plain
    if plain is not None:
        rows.append(_row([f"plain fine-tuning, {mean_of_seeds(summary)}", *_baseline_cells(plain)], num_text=1))
        if len(plain.points) > 1:
            cells = [
                percent(value) if pair else "—"
                for pair in (plain.spread_val, plain.spread_test)
                for value in (pair or (0.0, 0.0))
            ]
            rows.append(_row([f"spread (sd) over {seed_word(summary)}s", *cells], num_text=1, kind="quiet"))
    head = f"<tr><th></th>{_SPLITS}</tr><tr><th></th>{_PAIR * 2}</tr>"
    return _table("Baselines", "%, ± one standard error over items (paired bootstrap)", head, rows)


def frontier_html(summary: Summary) -> str:
    """The frontier, from the most general point to the most special one."""
    looks = assign_looks(point.method for point in summary.points)
    picked = headline_pick(summary)
    rows = []
    for i in summary.frontier:
        point = summary.points[i]
        dot = f'<i style="background:{looks[point.method].color}"></i>'
        text = [escape(point.trial), dot + escape(name_method(point.method))]
        text += [escape(point.path)] if summary.paths else []
        numbers = [f"{percent(point.fraction, 0)} %", f"{point.alpha:g}"]
        numbers += [*_measure_cells(summary.val[i]), *_measure_cells(summary.test.get(i))]
        kind = "picked" if picked is not None and picked.index == i else ""
        rows.append(_row([*text, *numbers], num_text=len(text), kind=kind, escaped=True))
    path = '<th class="text">path</th>' if summary.paths else ""
    head = (
        f'<tr><th colspan="{5 if summary.paths else 4}"></th>{_SPLITS}</tr><tr><th class="text">trial</th>'
        f'<th class="text">method</th>{path}'
        f"<th>training done</th><th>α</th>{_PAIR * 2}</tr>"
    )
    note = f"chosen on val among {len(summary.points)} points; %, ± one standard error"
    if picked is not None:
        note += "; shaded: the best speciality for at most 1 point of generality"
    return _table("Frontier", note, head, rows)


def recovered_html(summary: Summary) -> str:
    """What each method recovers without and with interpolation."""
    rows = [_row(method_cells(method), num_text=1) for method in summary.methods]
    rows.append(_row(method_cells(summary.together), num_text=1, kind="picked"))
    if title := frontier_row_title(summary):
        rows.append(_row([title, "", "", "", *recovery_cells(summary.recovery)], num_text=1))
    pair = "<th>test [95 %]</th><th>val*</th>"
    head = (
        '<tr><th colspan="2"></th><th class="group" colspan="2">α = 1 alone</th>'
        '<th class="group" colspan="2">all α</th></tr>'
        f'<tr><th class="text">method</th><th>trainings</th>{pair * 2}</tr>'
    )
    note = "1 = all the speciality of plain fine-tuning with none of its forgetting"
    return _table("Recovered", note, head, rows) + "\n" + _one_training_html(summary) + _notes_html(summary)


def _one_training_html(summary: Summary) -> str:
    """What one training of each method recovers alone; empty if unknown."""
    rows = one_training.one_training_rows(summary)
    if not rows:
        return ""
    return _plain_table(one_training.TITLE, one_training.NOTE, one_training.TEXT_HEADS, one_training.NUMBER_HEADS, rows)


def _notes_html(summary: Summary) -> str:
    return "\n<ul>" + "".join(f"<li>{escape(line)}</li>" for line in footnotes(summary)) + "</ul>"


def paths_html(summary: Summary) -> str:
    """What each path recovers alone and beside the lerp; empty if the lerp is the only one."""
    if not summary.paths:
        return ""
    rows = [
        _row([*paths.path_cells(path), *recovery_cells(path.alone), *recovery_cells(path.with_lerp)], num_text=1)
        for path in summary.paths
    ]
    heads = [f"<th>{escape(' '.join(head.split()))}</th>" for head in paths.HEADS[1:]]
    return _table(paths.TITLE, paths.NOTE, f'<tr><th class="text">{paths.HEADS[0]}</th>{"".join(heads)}</tr>', rows)


def tasks_html(summary: Summary) -> str:
    """Every task's score on `val`: theta_0, plain fine-tuning's mean, the picked point."""
    models: list[tuple[str, Sequence[int]]] = [("θ0", summary.theta_0.points)]
    if summary.plain is not None:
        models.append((PLAIN, summary.plain.points))
    picked = headline_pick(summary)
    if picked is not None:
        point = summary.points[picked.index]
        models.append((f"{name_method(point.method)}, {name_alpha(point)}", [picked.index]))
    rows = []
    for role in summary.roles:
        tasks = [[summary.points[i].tasks.get(role.name) for i in points] for _, points in models]
        means = [
            percent(sum(known) / len(known)) if (known := [v for v in one if v is not None]) else "—" for one in tasks
        ]
        rows.append(_row([role.name, role.role, role.group, role.metric, *means], num_text=4))
    heads = "".join(f"<th>{escape(name)}</th>" for name, _ in models)
    texts = "".join(f'<th class="text">{name}</th>' for name in ("task", "role", "group", "score"))
    head = f"<tr>{texts}{heads}</tr>"
    return _table("By task", "% on val", head, rows)


def whole_html(summary: Summary) -> str:
    """Both parts of every labelled split that was cut in two, and the whole; empty unless requested."""
    if not summary.whole:
        return ""
    return _plain_table(
        whole_splits.TITLE,
        whole_splits.NOTE,
        whole_splits.TEXT_HEADS,
        whole_splits.NUMBER_HEADS,
        whole_splits.whole_rows(summary),
    )


def _baseline_cells(baseline: Baseline) -> list[str]:
    return [*_measure_cells(baseline.val), *_measure_cells(baseline.test)]


def _measure_cells(measure: Measure | None) -> list[str]:
    if measure is None:
        return ["—", "—"]
    special = format_measure(measure.speciality, measure.speciality_error)
    return [special, format_measure(measure.generality, measure.generality_error)]


def _row(cells: Sequence[str], *, num_text: int, kind: str = "", escaped: bool = False) -> str:
    """A row whose first `num_text` cells are words, the others numbers."""
    shown = cells if escaped else [escape(cell) for cell in cells]
    tags = ["<td class=text>" if i < num_text else "<td>" for i in range(len(shown))]
    return f'<tr class="{kind}">' + "".join(f"{t}{c}</td>" for t, c in zip(tags, shown, strict=True)) + "</tr>"


def _plain_table(
    title: str, note: str, text_heads: Sequence[str], number_heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """A table of cells made elsewhere, for the page and the terminal alike."""
    heads = [f'<th class="text">{head}</th>' for head in text_heads]
    heads += [f"<th>{head}</th>" for head in number_heads]
    cells = [_row(row, num_text=len(text_heads)) for row in rows]
    return _table(title, note, f"<tr>{''.join(heads)}</tr>", cells)


def _table(title: str, note: str, head: str, rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<h2>{title}</h2>\n<p class="note">{escape(note)}</p>\n<div class="wide"><table>\n<thead>{head}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )
