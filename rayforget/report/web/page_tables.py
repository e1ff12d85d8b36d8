"""A summary -> the tables of its page, as HTML."""

from collections.abc import Sequence
from html import escape

from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint
from rayforget.frontier.summary import Baseline, Measure, Summary
from rayforget.report.method_styles import assign_looks
from rayforget.report.terminal import one_training
from rayforget.report.terminal.tables import frontier_row_title, method_cells, recovery_cells
from rayforget.report.web.html import Section, key, plain_table, row, section, subtitle, table
from rayforget.report.words import paths, whole_splits
from rayforget.report.words.footnotes import footnotes
from rayforget.report.words.numbers import format_measure, headline_pick, name_alpha, name_method, percent
from rayforget.report.words.plain import baseline_label, mean_of_seeds, recovered_meaning, seed_word

_SPLITS = (
    '<th class="group" colspan="2" scope="colgroup">val</th><th class="group" colspan="2" scope="colgroup">test</th>'
)
_PAIR = '<th scope="col">speciality</th><th scope="col">generality</th>'


def baselines_html(summary: Summary) -> Section:
    """theta_0 and the mean of plain fine-tuning, on both splits."""
    rows = [row(["θ0, pretrained", *_baseline_cells(summary.theta_0)], num_text=1)]
    plain = summary.plain
    if plain is not None:
        rows.append(
            row(
                [f"{baseline_label(summary)}, {mean_of_seeds(summary)}", *_baseline_cells(plain)],
                num_text=1,
            )
        )
        if len(plain.points) > 1:
            cells = [
                percent(value) if pair else "—"
                for pair in (plain.spread_val, plain.spread_test)
                for value in (pair or (0.0, 0.0))
            ]
            rows.append(row([f"spread (sd) over {seed_word(summary)}s", *cells], num_text=1, kind="quiet"))
    head = f"<tr><td></td>{_SPLITS}</tr><tr><td></td>{_PAIR * 2}</tr>"
    note = "%, ± one standard error over items (paired bootstrap)"
    return section("baselines", "Baselines", table(head, rows, what="baselines"), note=note)


def frontier_html(summary: Summary) -> Section:
    """The frontier, from the most general point to the most special one."""
    looks = assign_looks(point.method for point in summary.points)
    picked = headline_pick(summary)
    rows = []
    for i in summary.frontier:
        point = summary.points[i]
        text = [_walk_button(point), key(looks[point.method]) + escape(name_method(point.method))]
        text += [escape(point.path)] if summary.paths else []
        numbers = [f"{percent(point.fraction, 0)} %", f"{point.alpha:g}"]
        numbers += [*_measure_cells(summary.val[i]), *_measure_cells(summary.test.get(i))]
        kind = "picked" if picked is not None and picked.index == i else ""
        rows.append(row([*text, *numbers], num_text=len(text), kind=kind, escaped=True))
    texts = ("trial", "method", *(("path",) if summary.paths else ()))
    heads = "".join(f'<th class="text" scope="col">{name}</th>' for name in texts)
    head = (
        f'<tr><td colspan="{len(texts) + 2}"></td>{_SPLITS}</tr><tr>{heads}'
        f'<th scope="col">trained</th><th scope="col">α</th>{_PAIR * 2}</tr>'
    )
    note = f"chosen on val among {len(summary.points)} points; %, ± one standard error"
    if picked is not None:
        note += "; shaded: the best speciality for at most 1 point of generality"
    return section("points", "The frontier's points", table(head, rows, what="frontier"), note=note)


def recovered_html(summary: Summary) -> Section:
    """What each method recovers without and with interpolation."""
    rows = [row(method_cells(method), num_text=1) for method in summary.methods]
    rows.append(row(method_cells(summary.together), num_text=1, kind="picked"))
    if title := frontier_row_title(summary):
        rows.append(row([title, "", "", "", *recovery_cells(summary.recovery)], num_text=1))
    pair = '<th scope="col">test [95 %]</th><th scope="col">val*</th>'
    head = (
        '<tr><td colspan="2"></td><th class="group" colspan="2" scope="colgroup">α = 1 alone</th>'
        '<th class="group" colspan="2" scope="colgroup">all α</th></tr>'
        f'<tr><th class="text" scope="col">method</th><th scope="col">trainings</th>{pair * 2}</tr>'
    )
    note = f"1 = {recovered_meaning(summary)}"
    values = table(head, rows, what="recovered")
    return section("recovered", "Recovered", values, _one_training_html(summary), _notes_html(summary), note=note)


def _one_training_html(summary: Summary) -> str:
    """What one training of each method recovers alone; empty if unknown."""
    rows = one_training.one_training_rows(summary)
    if not rows:
        return ""
    heads = one_training.TEXT_HEADS, one_training.NUMBER_HEADS
    title = subtitle(one_training.TITLE, one_training.NOTE)
    return f"{title}\n{plain_table(*heads, rows, what=one_training.TITLE)}"


def _notes_html(summary: Summary) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in footnotes(summary)) + "</ul>"


def paths_html(summary: Summary) -> Section | None:
    """What each path recovers alone and beside the lerp; None if the lerp is the only one."""
    if not summary.paths:
        return None
    rows = [
        row([*paths.path_cells(path), *recovery_cells(path.alone), *recovery_cells(path.with_lerp)], num_text=1)
        for path in summary.paths
    ]
    heads = [f'<th scope="col">{escape(" ".join(head.split()))}</th>' for head in paths.HEADS[1:]]
    head = f'<tr><th class="text" scope="col">{paths.HEADS[0]}</th>{"".join(heads)}</tr>'
    return section("paths", paths.TITLE, table(head, rows, what=paths.TITLE), note=paths.NOTE)


def tasks_html(summary: Summary) -> Section:
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
        rows.append(row([role.name, role.role, role.group, role.metric, *means], num_text=4))
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name, _ in models)
    texts = "".join(f'<th class="text" scope="col">{name}</th>' for name in ("task", "role", "group", "score"))
    return section("tasks", "By task", table(f"<tr>{texts}{heads}</tr>", rows, what="by task"), note="% on val")


def whole_html(summary: Summary) -> Section | None:
    """Both parts of every labelled split that was cut in two, and the whole; None unless requested."""
    if not summary.whole:
        return None
    heads = whole_splits.TEXT_HEADS, whole_splits.NUMBER_HEADS
    values = plain_table(*heads, whole_splits.whole_rows(summary), what=whole_splits.TITLE)
    return section("whole", whole_splits.TITLE, values, note=whole_splits.NOTE)


def _baseline_cells(baseline: Baseline) -> list[str]:
    return [*_measure_cells(baseline.val), *_measure_cells(baseline.test)]


def _measure_cells(measure: Measure | None) -> list[str]:
    if measure is None:
        return ["—", "—"]
    special = format_measure(measure.speciality, measure.speciality_error)
    return [special, format_measure(measure.generality, measure.generality_error)]


def _walk_button(point: FrontierPoint) -> str:
    """The trial's name, which leads to its curve; theta_0 has none."""
    name = escape(point.trial)
    if point.method == THETA_0:
        return name
    return f'<button type="button" class="to-walk" data-point="{escape(point.key.text)}">{name}</button>'
