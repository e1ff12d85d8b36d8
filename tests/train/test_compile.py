"""Trainings that are compiled in one process: each as if it were the first."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from train.learners import VectorLearner

from rayforget.space.recipe import Recipe
from rayforget.train.loop import train

pytestmark = pytest.mark.slow  # compiling takes seconds

RECIPES: tuple[dict[str, Any], ...] = (
    {"batch_size": 8},
    {"batch_size": 5},  # another size: dynamo would compile the second one as dynamic
    {"batch_size": 8, "penalties": [{"kind": "l2", "strength": 3.0}], "epochs": 1},
)
ALONE = """
import sys, torch
from train.test_compile import RECIPES, final
torch.set_num_threads(1)
torch.save(final(RECIPES[int(sys.argv[1])]), sys.argv[2])
"""


def final(changes: dict[str, Any]) -> dict[str, torch.Tensor]:
    base = {"method": "m", "learning_rate": 1e-2, "epochs": 2, "seed": 0, "compile": True}
    recipe = Recipe.model_validate({**base, **changes})
    return dict(list(train(VectorLearner(width=9), recipe, seed=3, fractions=(1.0,)))[-1].theta_1)


def test_later_compiled_trainings_of_a_process_give_the_bits_of_fresh_ones(tmp_path: Path) -> None:
    """Each also finds no trace of the previous one: a second entry for the same code would raise here."""
    import torch._dynamo

    torch.set_num_threads(1)
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        here = [final(changes) for changes in (*RECIPES, RECIPES[0])]
    assert all(torch.equal(tensor, here[-1][name]) for name, tensor in here[0].items())
    for number in (1, 2):
        path = tmp_path / f"{number}.pt"
        command = [sys.executable, "-c", ALONE, str(number), str(path)]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=250, check=False
        )
        assert done.returncode == 0, done.stderr
        alone = torch.load(path)
        assert alone.keys() == here[number].keys()
        assert all(torch.equal(alone[name], here[number][name]) for name in alone)
