"""A summary's scores on whole labelled splits -> the rows of a table: both parts, and the whole beside them."""

from rayforget.frontier.summary import Summary
from rayforget.report.words.numbers import name_alpha, name_method, percent
from rayforget.report.words.plain import mean_of_seeds

TITLE = "Whole labelled splits"
NOTE = (
    "%; val and test together: comparable to published numbers, and seen in selection, since points are chosen on val"
)
TEXT_HEADS = ("task", "model")
NUMBER_HEADS = ("items", "val part", "test part", "whole, seen in selection")


def whole_rows(summary: Summary) -> list[list[str]]:
    """theta_0, plain fine-tuning and the frontier's points on every task that was cut in two."""
    return [
        [
            score.task,
            _name(summary, score.points),
            str(score.num_items),
            percent(score.val),
            percent(score.test),
            percent(score.whole),
        ]
        for score in summary.whole
    ]


def _name(summary: Summary, points: tuple[int, ...]) -> str:
    if points == summary.theta_0.points:
        return "θ0, pretrained"
    if summary.plain is not None and points == summary.plain.points:
        return f"plain, {mean_of_seeds(summary, one='1')}"
    point = summary.points[points[0]]
    early = "" if point.fraction in (0, 1) else f", {percent(point.fraction, 0)} % of its training"
    return f"{point.trial}, {name_method(point.method)}, {name_alpha(point)}{early}"
