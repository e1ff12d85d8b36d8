"""A picking -> what `--json` prints: scores between 0 and 1, limits in the same units."""

from typing import Any

from rayforget.frontier.limits import Floor
from rayforget.frontier.paired import Reached
from rayforget.frontier.pick import Cost, Looser
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.summary import Measure
from rayforget.report.picking import Picking
from rayforget.report.words.choices import option


def picking_json(picking: Picking) -> dict[str, Any]:
    """The choice, the next best, and every limit, as plain values."""
    choice, summary = picking.choice, picking.summary
    empty = (None,) * len(choice.costs)
    return {
        "sweep": summary.name,
        "rule": choice.limits.rule,
        "weights": list(choice.limits.weights) if choice.limits.rule == "weights" else None,
        "sure": choice.limits.sure,
        "points": choice.num_points,
        "qualified": choice.num_qualified,
        "picked": None if choice.index is None else _point(picking, choice.index),
        "next": [_point(picking, index) for index in choice.next],
        "limits": [
            _limit(picking, *each)
            for each in zip(choice.costs, picking.val or empty, picking.test or empty, strict=True)
        ],
        "nearest": [_looser(picking, floor, looser) for floor, looser in choice.nearest],
        "better_elsewhere": None if choice.elsewhere is None else summary.points[choice.elsewhere].key.text,
        "notice": summary.notice,
    }


def reached_json(one: Reached) -> dict[str, float]:
    """The score or difference on one split, with its 95 % interval."""
    return {"value": one.value, "low": one.low, "high": one.high}


def floor_json(floor: Floor) -> dict[str, Any]:
    """What a limit is about; `least` is of the score, or of the difference to theta_0."""
    return {"of": floor.of, "name": floor.name, "relative_to_theta_0": floor.relative, "least": floor.least}


def _point(picking: Picking, index: int) -> dict[str, Any]:
    point = picking.summary.points[index]
    return {
        **_key(point),
        "method": point.method,
        "fraction": point.fraction,
        "recipe": dict(point.recipe),
        "weights_kept": picking.has_weights(point),
        "val": _measure(picking.summary.val[index]) | {"tasks": dict(point.tasks)},
        "test": _measure(picking.summary.test[index]) if index in picking.summary.test else None,
    }


def _key(point: FrontierPoint) -> dict[str, Any]:
    key = {"trial": point.trial, "step": point.step, "path": point.path, "alpha": point.alpha}
    return {"point": point.key.text, **key}


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "speciality": measure.speciality,
        "generality": measure.generality,
        "speciality_error": measure.speciality_error,
        "generality_error": measure.generality_error,
    }


def _limit(picking: Picking, cost: Cost, val: Reached | None, test: Reached | None) -> dict[str, Any]:
    return {
        **floor_json(cost.floor),
        "kept_by": cost.met,
        "val": None if val is None else reached_json(val),
        "test": None if test is None else reached_json(test),
        "looser": None if cost.next is None else _looser(picking, cost.floor, cost.next),
        "without": None if cost.without is None else _looser(picking, cost.floor, cost.without),
    }


def _looser(picking: Picking, floor: Floor, looser: Looser) -> dict[str, Any]:
    point = picking.summary.points[looser.index]
    scores = {"speciality": point.speciality, "generality": point.generality}
    return {"point": point.key.text, "option": option(floor, looser.least), "least": looser.least, "val": scores}
