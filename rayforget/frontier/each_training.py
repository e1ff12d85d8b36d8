"""Points -> those that represent each training alone, recipe by recipe, by which methods are compared."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from rayforget.frontier.choose import (
    MethodChoice,
    choose_among,
    choose_by_method,
    is_on_common_grid,
    is_uninterpolated,
    points_to_report,
)
from rayforget.frontier.points import FrontierPoint

Recipes = tuple[tuple[tuple[int, ...], ...], ...]
"""Recipe -> its trainings -> their points, as indices into all points."""


def choose_each(points: Sequence[FrontierPoint], method: str, within: Callable[[FrontierPoint], bool]) -> Recipes:
    """The non-dominated points on `val` of every single training of a method, among those for which `within` holds.

    Trainings that differ only in their seed are of one recipe. Of those with equal seeds, which give equal results, the
    first counts. If a method has a single recipe, as plain fine-tuning has, each of its seeds counts as a recipe:
    another training of it could differ in nothing else.
    """
    trainings: dict[str, list[int]] = {}
    for i, point in enumerate(points):
        if point.method == method:
            trainings.setdefault(point.trial, []).append(i)
    own: dict[str, dict[Any, dict[str, list[int]]]] = {}
    for trial, indices in sorted(trainings.items()):
        recipe = points[indices[0]].recipe
        same = json.dumps({name: value for name, value in recipe.items() if name != "seed"}, sort_keys=True)
        given = trial if "models" in recipe else None  # each given model is a training of its own
        own.setdefault(same, {}).setdefault((recipe.get("seed"), given), {})[trial] = indices
    recipes = [[next(iter(trials.values())) for trials in seeds.values()] for seeds in own.values()]
    if len(recipes) == 1:
        recipes = [[training] for training in recipes[0]]
    return tuple(
        tuple(choose_among(points, [i for i in training if within(points[i])]) for training in recipe)
        for recipe in recipes
    )


def choose_each_alone(points: Sequence[FrontierPoint], choice: MethodChoice) -> Recipes:
    """`choose_each` among the points without interpolation."""
    return choose_each(points, choice.method, is_uninterpolated)


def choose_each_curve(points: Sequence[FrontierPoint], choice: MethodChoice) -> Recipes:
    """`choose_each` among the points at the alphas common to all trainings."""
    return choose_each(points, choice.method, is_on_common_grid)


def trainings_alone(points: Sequence[FrontierPoint]) -> tuple[tuple[int, ...], ...]:
    """The points that represent each training alone, in both ways, training by training."""
    found: dict[tuple[int, ...], None] = {}
    for choice in choose_by_method(points):
        for recipes in (choose_each_alone(points, choice), choose_each_curve(points, choice)):
            found |= dict.fromkeys(own for recipe in recipes for own in recipe)
    return tuple(sorted(found))


def points_to_compare(points: Sequence[FrontierPoint]) -> tuple[int, ...]:
    """Every point whose items on `val` a summary needs: those of the report, and those that represent each training."""
    return tuple(sorted({*points_to_report(points), *(i for own in trainings_alone(points) for i in own)}))
