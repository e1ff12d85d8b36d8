"""Optuna's study of a sweep: asks for recipes with an (alpha, fraction) each, is told whole curves.

One study with two objectives, speciality and generality, both maximised. Its parameters are conditional on the
method: `METHOD.learning_rate`, `METHOD.penalties.l2.strength`, ..., `METHOD.fraction`, `METHOD.alpha`. A training
serves every alpha, so an asked trial is told its own point, and further points of its curve are added as completed
trials of the same recipe. The study is a cache: `CurveStudy.replay` makes it again from the record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from rayforget.frontier.nondominated import nondominated
from rayforget.search.distributions import distribution, suggest
from rayforget.space.method import Method
from rayforget.space.models import Curve, Search
from rayforget.space.seeds import derive_seed

POINT_KEY = "rayforget.point"
"""User attribute of an added point: `number-step@alpha`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One training that the study asks for."""

    method: str
    params: Mapping[str, Any]
    """The study's parameters, by their full names."""
    values: Mapping[str, Any]
    """The recipe's values, by their paths."""
    fraction: float
    alpha: float
    seed: int
    """Which of the recipe's seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One scored point of a finished trial's curves."""

    step: int
    fraction: float
    alpha: float
    speciality: float
    generality: float


class CurveStudy:
    """The sweep's study; not safe for concurrent use: the driver alone has it."""

    def __init__(
        self,
        methods: Sequence[Method],
        *,
        search: Search,
        curve: Curve,
        name: str,
        storage: optuna.storages.BaseStorage | str | None = None,
    ) -> None:
        """Opens a new study called `name`; one of that name in `storage` is replaced (the record decides)."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._methods = {method.name: method for method in methods}
        self._search, self._curve = search, curve
        if storage is not None and name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        self.study = optuna.create_study(study_name=name, storage=storage, directions=["maximize", "maximize"])
        self._asked: dict[int, Trial] = {}
        self._num_asked = 0
        self._last: Asked | None = None
        self._last_number = -1
        self._fed: set[str] = set()

    def ask(self, number: int) -> Asked:
        """The next training; `number` is the trial's, under which it will be told."""
        seed = self._num_asked % self._search.seeds
        if seed > 0 and self._last is not None:
            self.study.enqueue_trial(dict(self._last.params))
        elif self._search.balance == "method":
            names = list(self._methods)
            self.study.enqueue_trial({"method": names[(self._num_asked // self._search.seeds) % len(names)]})
        self.study.sampler = self._sampler()
        trial = self.study.ask()
        params, values = {}, {}
        for name, path, dist in self._parameters(trial):
            params[name] = suggest(trial, name, dist)
            values[path] = params[name]
        method = params["method"]
        asked = Asked(
            method=method,
            params=params,
            values={path: value for path, value in values.items() if path not in ("method", "alpha", "fraction")},
            fraction=values["fraction"],
            alpha=round(values["alpha"], 4),
            seed=seed,
        )
        self._asked[number] = trial
        self._num_asked += 1
        self._last, self._last_number = asked, number
        return asked

    def tell(self, number: int, asked: Asked, curve: Sequence[CurvePoint]) -> None:
        """Takes a finished trial's points; an asked point that is missing or not finite makes the trial FAIL."""
        own = _own_point(asked, curve)
        trial = self._asked.pop(number, None)
        if trial is not None:
            if own is None:
                self.study.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_user_attr(POINT_KEY, _point_key(number, own))
                self.study.tell(trial, [own.speciality, own.generality])
        elif own is not None:
            self._add(number, asked, own, dict(asked.params))
        if own is not None:
            self._fed.add(_point_key(number, own))
        self._feed(number, asked, curve)

    def fail(self, number: int) -> None:
        """Tells Optuna that a trial has no values; its sampler forgets it."""
        trial = self._asked.pop(number, None)
        if trial is not None:
            self.study.tell(trial, state=TrialState.FAIL)

    def replay(self, finished: Iterable[tuple[int, Asked, Sequence[CurvePoint]]]) -> None:
        """Takes trials from the record, in the order in which they were asked; a failed one has an empty curve."""
        for number, asked, curve in finished:
            self._num_asked += 1
            self._last, self._last_number = asked, number
            self.tell(number, asked, curve)

    def adopt(self, number: int, asked: Asked) -> None:
        """Takes back a training that was asked for and never finished; it is asked under the same values again."""
        self.study.enqueue_trial(dict(asked.params))
        trial = self.study.ask()
        for name, _, dist in self._parameters(trial):
            suggest(trial, name, dist)
        self._asked[number] = trial
        self._num_asked += 1
        if number > self._last_number:
            self._last, self._last_number = asked, number

    def _parameters(self, trial: Trial) -> Iterable[tuple[str, str, BaseDistribution]]:
        """(full name, path, distribution) of every parameter; the method's value is read off `trial` on the way."""
        yield "method", "method", CategoricalDistribution(tuple(self._methods))
        yield from self._method_parameters(trial.params["method"])

    def _method_parameters(self, method: str) -> Iterable[tuple[str, str, BaseDistribution]]:
        for path, domain in self._methods[method].domains.items():
            yield f"{method}.{path}", path, distribution(domain)
        yield f"{method}.fraction", "fraction", CategoricalDistribution(self._curve.fractions)
        yield f"{method}.alpha", "alpha", FloatDistribution(min(self._curve.coarse), max(self._curve.coarse))

    def _sampler(self) -> optuna.samplers.BaseSampler:
        seed = derive_seed(self._search.seed, "sampler", str(self._num_asked)) % 2**32
        if self._num_asked < self._search.startup or self._search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if self._search.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)

    def _feed(self, number: int, asked: Asked, curve: Sequence[CurvePoint]) -> None:
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

    def _add(self, number: int, asked: Asked, point: CurvePoint, params: dict[str, Any]) -> None:
        distributions: dict[str, BaseDistribution] = {"method": CategoricalDistribution(tuple(self._methods))}
        distributions |= {name: dist for name, _, dist in self._method_parameters(asked.method)}
        key = _point_key(number, point)
        self.study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=[point.speciality, point.generality],
                params=params,
                distributions=distributions,
                user_attrs={POINT_KEY: key},
            )
        )
        self._fed.add(key)

    def trials(self) -> list[FrozenTrial]:
        """All of the study's trials, asked and added."""
        return self.study.get_trials(deepcopy=False)


def _own_point(asked: Asked, curve: Sequence[CurvePoint]) -> CurvePoint | None:
    """The asked alpha at the first checkpoint that is not before the asked fraction (two may fall on one step)."""
    later = [point for point in curve if point.fraction >= asked.fraction and point.alpha == asked.alpha]
    point = min(later, key=lambda point: point.fraction, default=None)
    return point if point is not None and np.isfinite([point.speciality, point.generality]).all() else None


def _point_key(number: int, point: CurvePoint) -> str:
    return f"{number:04d}-{point.step:06d}@{point.alpha:g}"
