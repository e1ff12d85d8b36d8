"""Points -> those that represent each training alone, recipe by recipe, by which methods are compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayforget.frontier.choose import choose_among, is_on_common_grid, is_uninterpolated, points_to_report
from rayforget.frontier.points import THETA_0, FrontierPoint

Recipes = tuple[tuple[tuple[int, ...], ...], ...]
"""Recipe -> its trainings -> their points, as indices into all points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EachTraining:
    """A method's trainings, each represented by its own non-dominated points on `val`."""

    alone: Recipes
    """Among the points without interpolation."""
    curve: Recipes
    """Among the points at the alphas common to all trainings."""


def choose_each(points: Sequence[FrontierPoint]) -> dict[str, EachTraining]:
    """Method -> its trainings, recipe by recipe; `plain` and theta_0 count as methods.

    Trainings that differ only in their seed are of one recipe. Of those with equal seeds, which give equal results, the
    first counts. If a method has a single recipe, as plain fine-tuning has, each of its seeds counts as a recipe:
    another training of it could differ in nothing else.
    """
    methods: dict[str, dict[str, list[int]]] = {}
    for i, point in enumerate(points):
        methods.setdefault(point.method, {}).setdefault(point.trial, []).append(i)
    found = {}
    for method, trainings in methods.items():
        recipes = _recipes(points, trainings)
        alone, curve = (
            tuple(
                tuple(choose_among(points, [i for i in training if within(points[i])]) for training in recipe)
                for recipe in recipes
            )
            for within in (is_uninterpolated, is_on_common_grid)
        )
        found[method] = EachTraining(alone=alone, curve=curve)
    return found


def _recipes(points: Sequence[FrontierPoint], trainings: Mapping[str, list[int]]) -> list[list[list[int]]]:
    """Recipe -> its trainings that count -> all their points."""
    own: dict[str, dict[Any, list[int]]] = {}
    for trial, indices in sorted(trainings.items()):
        recipe = points[indices[0]].recipe
        same = json.dumps({name: value for name, value in recipe.items() if name != "seed"}, sort_keys=True)
        given = trial if "models" in recipe else None  # each given model is a training of its own
        own.setdefault(same, {}).setdefault((recipe.get("seed"), given), indices)
    recipes = [list(seeds.values()) for seeds in own.values()]
    return [[training] for training in recipes[0]] if len(recipes) == 1 else recipes


def trainings_alone(methods: Mapping[str, EachTraining]) -> tuple[tuple[int, ...], ...]:
    """The points that represent each training alone, in both ways, training by training."""
    found: dict[tuple[int, ...], None] = {}
    for method, each in methods.items():
        if method != THETA_0:
            for recipes in (each.alone, each.curve):
                found |= dict.fromkeys(own for recipe in recipes for own in recipe)
    return tuple(sorted(found))


def points_to_compare(points: Sequence[FrontierPoint]) -> tuple[int, ...]:
    """Every point whose items on `val` a summary needs: those of the report, and those that represent each training."""
    alone = trainings_alone(choose_each(points))
    return tuple(sorted({*points_to_report(points), *(i for own in alone for i in own)}))
