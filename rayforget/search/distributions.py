"""A space file's domain -> Optuna's distribution; bounds are inclusive in both."""

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from rayforget.space.domains import ChoiceDomain, Domain, FloatDomain, IntDomain


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's distribution over exactly the domain's values."""
    match domain:
        case FloatDomain(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntDomain(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step or 1)
        case ChoiceDomain(choice=choice):
            return CategoricalDistribution(tuple(choice))


def suggest(trial: Trial, name: str, dist: BaseDistribution) -> Any:
    """The trial's value for parameter `name`, drawn from `dist`."""
    match dist:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case _:
            raise TypeError(f"no way to draw from {type(dist).__name__}")
