"""The memory that penalties keep for each trained weight, as the plan counts it."""

from typing import Any

import pytest

from rayforget.planning.probe import kept_bytes
from rayforget.space.recipe import Recipe

L1, L2 = {"kind": "l1", "strength": 1.0}, {"kind": "l2", "strength": 1.0}
KD = {"kind": "kd", "strength": 1.0}
EWC = {"kind": "ewc", "strength": 1.0, "data": {"task": "a", "split": "train"}}


@pytest.mark.parametrize(
    ("penalties", "copies"),
    [
        ([], 0),
        ([{**L2, "strength": 0.0}], 0),
        ([L2], 1),
        ([KD], 1),
        ([KD, L1, L2], 1),
        ([EWC], 2),
        ([EWC, L2], 2),
    ],
)
def test_penalties_share_one_theta_0_and_keep_their_own_besides(penalties: list[dict[str, Any]], copies: int) -> None:
    base = {"method": "m", "head": "frozen", "learning_rate": 1e-3, "epochs": 1, "batch_size": 8, "seed": 0}
    recipe = Recipe.model_validate({**base, "penalties": penalties})
    assert kept_bytes(recipe, 4_000) == copies * 4_000
