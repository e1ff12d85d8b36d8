"""Points -> their descriptions on the page when hovered over, in the simple HTML that plotly reads."""

from html import escape

from rayforget.frontier.points import THETA_0, FrontierPoint
from rayforget.frontier.summary import Measure, Summary
from rayforget.report.words.numbers import format_measure, name_alpha, name_method, percent
from rayforget.report.words.recipes import distinguish, shorten_recipe

PER_ROW = 3
"""Tasks in one line."""


class Hovers:
    """Each point's description: what it is, its scores, and what in its recipe differs between the sweep's trials."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        recipes = {point.trial: point.recipe for point in summary.points}
        self._recipes = {trial: shorten_recipe(recipe) for trial, recipe in recipes.items()}
        self._names = distinguish([recipe for recipe in self._recipes.values() if recipe])

    def text(self, index: int) -> str:
        """The whole description of the summary's point of this index."""
        summary, point = self._summary, self._summary.points[index]
        val = summary.val.get(index) or Measure(speciality=point.speciality, generality=point.generality)
        lines = [hover_title(point), hover_measure("val", val), self._by_task(point)]
        if index in summary.test:
            lines.append(hover_measure("test", summary.test[index]))
        return "<br>".join(lines + self.recipe(point.trial))

    def recipe(self, trial: str) -> list[str]:
        """A line for everything in which the trial's recipe differs from others'."""
        recipe = self._recipes[trial]
        return [f"{escape(name)}: {escape(recipe[name])}" for name in self._names if name in recipe]

    def _by_task(self, point: FrontierPoint) -> str:
        names = [role.name for role in self._summary.roles if role.name in point.tasks]
        scores = [hover_task(name) + percent(point.tasks[name]) for name in names]
        rows = ["  " + " · ".join(scores[start : start + PER_ROW]) for start in range(0, len(scores), PER_ROW)]
        return "<br>".join(rows)


def hover_title(point: FrontierPoint) -> str:
    """What the point is."""
    if point.method == THETA_0:
        return "<b>θ0, pretrained</b>"
    method, checkpoint = hover_checkpoint(point)
    return f"<b>{method}{hover_alpha(point)}</b><br>{checkpoint}"


def hover_checkpoint(point: FrontierPoint) -> tuple[str, str]:
    """The point's method, before its alpha, and the line on its training."""
    done = f"step {point.step} ({percent(point.fraction, 0)} % of its training)"
    return f"{escape(name_method(point.method))}, ", f"trial {escape(point.trial)}, {done}"


def hover_alpha(point: FrontierPoint) -> str:
    """The point's place on its curve."""
    return escape(name_alpha(point))


def hover_task(name: str) -> str:
    """A task's name, before its score."""
    return f"{escape(name)} "


def hover_measure(split: str, measure: Measure) -> str:
    """Its scores on one split."""
    special = format_measure(measure.speciality, measure.speciality_error)
    general = format_measure(measure.generality, measure.generality_error)
    return f"{split}: speciality {special}, generality {general}"


def hover_mean(name: str, val: Measure, test: Measure | None) -> str:
    """The description of a baseline that is a mean."""
    lines = [f"<b>{name}</b>", hover_measure("val", val)]
    return "<br>".join(lines + ([hover_measure("test", test)] if test else []))
