"""Optuna's PED-ANOVA (Watanabe, Bansal & Hutter 2023): how much each value decides what is among the best."""

import sys
import threading
import warnings
from importlib import import_module
from typing import Any

import optuna


def importances(study: optuna.Study, objective: int = 0) -> dict[str, float]:
    """Value's name -> its share, of 1 in all, in what sets the tenth of the trials with the highest values apart.

    Args:
        study: finished trials.
        objective: place of the objective among the trials' values.
    """
    evaluators = _without_scikit_learn()
    with warnings.catch_warnings():  # it asks what makes a target low, and warns of it
        warnings.simplefilter("ignore")
        found: dict[str, float] = evaluators.get_param_importances(
            study,
            evaluator=evaluators.PedAnovaImportanceEvaluator(),
            target=lambda trial: -trial.values[objective],
        )
    return found


def _without_scikit_learn() -> Any:
    """`optuna.importance`, for whose other evaluators scikit-learn is imported: two seconds of every report.

    Optuna takes a scikit-learn that cannot be imported for one that is not installed. What was imported so is kept from
    all others, who find theirs whole; while other threads run, which may import it, nothing is hidden.
    """
    name, hidden = "optuna.importance", "sklearn"
    if hidden in sys.modules or name in sys.modules or threading.active_count() > 1:
        return import_module(name)
    lazy = vars(optuna)["importance"]
    sys.modules[hidden] = None  # type: ignore[assignment]
    try:
        return import_module(name)
    finally:
        del sys.modules[hidden]
        for each in [each for each in sys.modules if each.startswith(name)]:
            del sys.modules[each]
        vars(optuna)["importance"] = lazy
