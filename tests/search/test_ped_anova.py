"""The importances are Optuna's own, and nobody else notices how they were imported."""

import subprocess
import sys

CODE = """
import sys
import optuna
from rayforget.search.ped_anova import importances

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("much", 0, 1) + 0.1 * trial.suggest_float("little", 0, 1), n_trials=60)
found = importances(study)
assert "sklearn" not in sys.modules, "it was imported"

import optuna.importance

evaluator = optuna.importance.PedAnovaImportanceEvaluator()
same = optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda trial: -trial.value)
assert found == same, (found, same)
assert found["much"] > 2 * found["little"]
optuna.importance.get_param_importances(study, evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=2))
assert "sklearn" in sys.modules
assert importances(study) == found
"""


def test_importances_are_optunas_and_its_other_evaluators_find_what_they_need() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
