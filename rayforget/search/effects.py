"""Trainings' recipes and points -> what each searched value did to speciality and to generality.

A slice shows each training's own end, alpha = 1 at its last checkpoint. An importance is Optuna's PED-ANOVA (Watanabe,
Bansal & Hutter 2023): how differently the values of the best tenth of a method's models are spread from those of all of
them. The models are those at the alphas common to all trainings, so that alpha and the checkpoint are among what is
weighed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial

from rayforget.frontier.choose import is_on_common_grid, is_uninterpolated
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.recovered import Pair
from rayforget.search.distributions import distribution
from rayforget.search.ped_anova import importances
from rayforget.space.domains import Domain, Scalar
from rayforget.space.method import Method, value_at

LEAST_TRAININGS = 8
"""Trainings of a method below which importances would say nothing."""
_MOST_MODELS = 1000
"""Models of a method that are weighed; of more trainings, evenly spread ones."""
CHECKPOINT, ALPHA = "checkpoint", "α"
"""What is weighed besides the recipe's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One searched value of a method."""

    name: str
    """Its path in a recipe: `learning_rate`, `penalties.l2.strength`."""
    domain: Domain
    values: tuple[Scalar, ...]
    """One per training that reached its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a method's searched values did."""

    method: str
    trainings: int
    slices: tuple[Slice, ...]
    """In the order of the recipe's fields."""
    ends: tuple[Pair, ...]
    """(S, G) on `val` of each training's end, in the order of the slices' values."""
    importances: Mapping[str, Pair]
    """Value's name -> its shares, of 1 each, in speciality and in generality; empty if trainings are too few."""


def effects_of(methods: Sequence[Method], points: Sequence[FrontierPoint]) -> tuple[Effects, ...]:
    """The effects of every method that has a domain and a finished training, in the order of the methods.

    A training whose recipe is none of its method's, as another version may have recorded it, does not count.

    Args:
        methods: the space's, with their domains.
        points: all points, in any order.
    """
    found = []
    for method in methods:
        own = sorted((p for p in points if p.method == method.name and _is_of(method, p)), key=lambda p: p.key.order)
        ends = [p for p in own if is_uninterpolated(p) and p.fraction == 1]
        if method.domains and ends:
            found.append(_effects(method, own, ends))
    return tuple(found)


def _is_of(method: Method, point: FrontierPoint) -> bool:
    try:
        return all(domain.contains(value_at(point.recipe, path)) for path, domain in method.domains.items())
    except KeyError:
        return False


def _effects(method: Method, own: Sequence[FrontierPoint], ends: Sequence[FrontierPoint]) -> Effects:
    slices = tuple(
        Slice(name=path, domain=domain, values=tuple(value_at(point.recipe, path) for point in ends))
        for path, domain in method.domains.items()
    )
    enough = len(ends) >= LEAST_TRAININGS
    models = [p for p in own if is_on_common_grid(p) and not p.is_copy_of_theta_0]
    return Effects(
        method=method.name,
        trainings=len(ends),
        slices=slices,
        ends=tuple((point.speciality, point.generality) for point in ends),
        importances=_importances(method, models) if enough else {},
    )


def _importances(method: Method, models: Sequence[FrontierPoint]) -> dict[str, Pair]:
    """Each value's share of PED-ANOVA's importances for reaching the best tenth, by objective."""
    trials = list(dict.fromkeys(model.trial for model in models))
    stride = -(-len(models) // _MOST_MODELS)
    kept = set(trials[::stride])
    models = [model for model in models if model.trial in kept]
    dists: dict[str, BaseDistribution] = {path: distribution(domain) for path, domain in method.domains.items()}
    dists[CHECKPOINT] = CategoricalDistribution(sorted({model.fraction for model in models}))
    dists[ALPHA] = CategoricalDistribution(sorted({model.alpha for model in models}))
    params: list[dict[str, Any]] = [
        {path: value_at(model.recipe, path) for path in method.domains}
        | {CHECKPOINT: model.fraction, ALPHA: model.alpha}
        for model in models
    ]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "maximize"])
    values = [(model.speciality, model.generality) for model in models]
    study.add_trials(
        [
            create_trial(state=TrialState.COMPLETE, params=each, distributions=dists, values=pair)
            for each, pair in zip(params, values, strict=True)
        ]
    )
    special, general = importances(study, 0), importances(study, 1)
    return {name: (special.get(name, 0.0), general.get(name, 0.0)) for name in dists}
