"""Optuna's study of a sweep: asks for recipes with an (alpha, fraction) each, and is told whole curves.

One study with two objectives, speciality and generality, both maximised. Its parameters are conditional on the method:
`METHOD.learning_rate`, `METHOD.penalties.l2.strength`, ..., `METHOD.fraction`, `METHOD.alpha`. A training serves every
alpha, so an asked trial is told its own point, and further points of its curve are added as completed trials of the
same recipe.

The study is a cache: `ask_again` and `tell`, in the order of the asks, rebuild it from the record. Its next ask depends
on what was asked and told, and not on the process: each ask has a sampler of its own, seeded by its number, and methods
take turns by how often each was asked for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import FrontierPoint
from rayforget.search.distributions import distribution, suggest
from rayforget.space.method import Method
from rayforget.space.parts import Curve, Search
from rayforget.space.seeds import derive_seed

POINT_KEY = "rayforget.point"
"""User attribute of an added point: `number-step@alpha`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A training that the study asks for."""

    method: str
    params: Mapping[str, Any]
    """The study's parameters, by their full names."""
    values: Mapping[str, Any]
    """The recipe's values, by their paths."""
    fraction: float
    alpha: float
    seed: int
    """Index of the recipe's seed."""


class _Added(FrozenTrial):
    """A trial that is passed to the study and not kept, so that the study's copy may share its contents.

    Optuna copies a trial with all its distributions, although all trials of a method have equal ones: half of a
    driver's memory.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Added":
        return copy(self)


class CurveStudy:
    """The sweep's study; not thread-safe, since only the driver has it."""

    def __init__(
        self,
        methods: Sequence[Method],
        *,
        search: Search,
        curve: Curve,
        name: str,
    ) -> None:
        """Opens a new study called `name`, in memory.

        Methods take turns in their order in the space as the user wrote it.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._methods = {method.name: method for method in methods}
        self._search, self._curve = search, curve
        self._method_choice = CategoricalDistribution(tuple(self._methods))
        self._parameters_of = {method.name: tuple(self._method_parameters(method)) for method in methods}
        self.study = optuna.create_study(study_name=name, directions=["maximize", "maximize"])
        self._asked: dict[int, Trial] = {}
        self._num_asked = 0
        self._turns: Counter[str] = Counter()
        """Method -> how often it was asked for."""
        self._last: Asked | None = None
        self._fed: set[str] = set()

    def ask(self, number: int) -> Asked:
        """The next training; `number` is the trial's number, under which it will be told."""
        seed = self._num_asked % self._search.seeds
        if self._repeats():
            assert self._last is not None  # something was asked
            self.study.enqueue_trial(dict(self._last.params))
        elif self._search.balance == "method":
            self.study.enqueue_trial({"method": self._next_method()})
        self.study.sampler = self._sampler()
        trial = self.study.ask()
        params, values = {}, {}
        for name, path, dist in self._parameters(trial):
            params[name] = suggest(trial, name, dist)
            values[path] = params[name]
        asked = Asked(
            method=params["method"],
            params=params,
            values={path: value for path, value in values.items() if path not in ("method", "alpha", "fraction")},
            fraction=values["fraction"],
            alpha=round(values["alpha"], 4),
            seed=seed,
        )
        self._note(number, asked, trial)
        return asked

    def ask_again(self, number: int, asked: Asked) -> None:
        """Replays an ask from the record before its result is told; in the order of the asks."""
        drawn = not self._repeats()
        self.study.enqueue_trial(dict(asked.params))
        self.study.sampler = self._sampler()
        trial = self.study.ask()
        if drawn:
            _ = trial.relative_params  # the draw itself is known; NSGA-II notes the trial's generation on the way
        for name, _, dist in self._parameters(trial):
            suggest(trial, name, dist)
        self._note(number, asked, trial)

    def _repeats(self) -> bool:
        """Whether the next ask is a further seed of the last recipe."""
        return self._num_asked % self._search.seeds > 0

    def _next_method(self) -> str:
        """The method asked for least often; the first in the space if several are."""
        return min(self._methods, key=lambda name: self._turns[name])

    def _note(self, number: int, asked: Asked, trial: Trial) -> None:
        self._asked[number] = trial
        self._num_asked += 1
        self._turns[asked.method] += 1
        self._last = asked

    def tell(self, number: int, asked: Asked, curve: Sequence[FrontierPoint]) -> None:
        """Tells Optuna a finished trial's points; if the asked point is missing or not finite, the trial is FAIL.

        Args:
            number: the trial's number.
            asked: the ask that it answers.
            curve: the lerp's points; another path's parameters are not among the study's.
        """
        own = _own_point(asked, curve)
        trial = self._asked.pop(number)
        if own is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_user_attr(POINT_KEY, _point_key(number, own))
            self.study.tell(trial, [own.speciality, own.generality])
            self._fed.add(_point_key(number, own))
        self._feed(number, asked, curve)

    def fail(self, number: int) -> None:
        """Tells Optuna that a trial has no values, so that its sampler ignores it."""
        self.study.tell(self._asked.pop(number), state=TrialState.FAIL)

    def _parameters(self, trial: Trial) -> Iterable[tuple[str, str, BaseDistribution]]:
        """(full name, path, distribution) of every parameter; reads the method's value off `trial` on the way."""
        yield "method", "method", self._method_choice
        yield from self._parameters_of[trial.params["method"]]

    def _method_parameters(self, method: Method) -> Iterable[tuple[str, str, BaseDistribution]]:
        for path, domain in method.domains.items():
            yield f"{method.name}.{path}", path, distribution(domain)
        yield f"{method.name}.fraction", "fraction", CategoricalDistribution(self._curve.fractions)
        yield f"{method.name}.alpha", "alpha", FloatDistribution(min(self._curve.coarse), max(self._curve.coarse))

    def _sampler(self) -> optuna.samplers.BaseSampler:
        seed = derive_seed(self._search.seed, "sampler", str(self._num_asked)) % 2**32
        if self._num_asked < self._search.startup or self._search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if self._search.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)

    def _feed(self, number: int, asked: Asked, curve: Sequence[FrontierPoint]) -> None:
        known = (p for p in curve if p.alpha != 0 and np.isfinite([p.speciality, p.generality]).all())
        points = sorted(known, key=lambda p: (p.step, p.alpha))
        if self._search.feed == "none" or self._search.sampler == "nsga2" or not points:
            return
        chosen = np.ones(len(points), dtype=bool)
        if self._search.feed == "nondominated":
            chosen = nondominated(np.array([(p.speciality, p.generality) for p in points]))
        for point, wanted in zip(points, chosen, strict=True):
            if wanted and _point_key(number, point) not in self._fed:
                changed = {f"{asked.method}.fraction": point.fraction, f"{asked.method}.alpha": point.alpha}
                self._add(number, asked, point, {**asked.params, **changed})

    def _add(self, number: int, asked: Asked, point: FrontierPoint, params: dict[str, Any]) -> None:
        distributions: dict[str, BaseDistribution] = {"method": self._method_choice}
        distributions |= {name: dist for name, _, dist in self._parameters_of[asked.method]}
        key, now = _point_key(number, point), datetime.now()
        self.study.add_trial(
            _Added(
                number=-1,
                trial_id=-1,  # the study gives both
                state=TrialState.COMPLETE,
                value=None,
                values=[point.speciality, point.generality],
                datetime_start=now,
                datetime_complete=now,
                params=params,
                distributions=distributions,
                user_attrs={POINT_KEY: key},
                system_attrs={},
                intermediate_values={},
            )
        )
        self._fed.add(key)

    def trials(self) -> list[FrozenTrial]:
        """All of the study's trials, asked and added."""
        return self.study.get_trials(deepcopy=False)


def _own_point(asked: Asked, curve: Sequence[FrontierPoint]) -> FrontierPoint | None:
    """The asked alpha at the first checkpoint at or after the asked fraction (two may fall on one step)."""
    later = [point for point in curve if point.fraction >= asked.fraction and point.alpha == asked.alpha]
    point = min(later, key=lambda point: point.fraction, default=None)
    return point if point is not None and np.isfinite([point.speciality, point.generality]).all() else None


def _point_key(number: int, point: FrontierPoint) -> str:
    return f"{number:04d}-{point.step:06d}@{point.alpha:g}"
