"""Points -> their descriptions on the page when hovered over, in the simple HTML that plotly reads."""

from html import escape

from rayforget.frontier.points import THETA_0, FrontierPoint
from rayforget.frontier.summary import Measure, Summary
from rayforget.report.words.numbers import format_measure, name_alpha, name_method, percent
from rayforget.report.words.recipes import distinguish, shorten_recipe


def hover_points(summary: Summary) -> list[str]:
    """Per point: what it is, its scores, and what in its recipe differs between the sweep's trials."""
    recipes = {point.trial: shorten_recipe(point.recipe) for point in summary.points}
    names = distinguish([recipe for recipe in recipes.values() if recipe])
    hovers = []
    for i, point in enumerate(summary.points):
        val = summary.val.get(i) or Measure(speciality=point.speciality, generality=point.generality)
        lines = [hover_title(point), hover_measure("val", val), _by_task(summary, point)]
        if i in summary.test:
            lines.append(hover_measure("test", summary.test[i]))
        recipe = recipes[point.trial]
        lines += [f"{escape(name)}: {escape(recipe[name])}" for name in names if name in recipe]
        hovers.append("<br>".join(lines))
    return hovers


def hover_title(point: FrontierPoint) -> str:
    """What the point is."""
    if point.method == THETA_0:
        return "<b>θ0, pretrained</b>"
    done = f"step {point.step} ({percent(point.fraction, 0)} % of its training)"
    name = f"{name_method(point.method)}, {name_alpha(point)}"
    return f"<b>{escape(name)}</b><br>trial {escape(point.trial)}, {done}"


def hover_measure(split: str, measure: Measure) -> str:
    """Its scores on one split."""
    special = format_measure(measure.speciality, measure.speciality_error)
    general = format_measure(measure.generality, measure.generality_error)
    return f"{split}: speciality {special}, generality {general}"


def _by_task(summary: Summary, point: FrontierPoint) -> str:
    scores = [f"{escape(r.name)} {percent(point.tasks[r.name])}" for r in summary.roles if r.name in point.tasks]
    rows = ["  " + " · ".join(scores[start : start + 3]) for start in range(0, len(scores), 3)]
    return "<br>".join(rows)


def hover_mean(name: str, num_seeds: int, val: Measure, test: Measure | None) -> str:
    """The description of a baseline that is a mean."""
    lines = [f"<b>{name}, mean of {num_seeds} seeds</b>", hover_measure("val", val)]
    return "<br>".join(lines + ([hover_measure("test", test)] if test else []))
