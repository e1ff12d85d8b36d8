"""How many interpolated models are in memory while a curve is scored."""

import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath

import pytest
import torch
from torch import Tensor
from vector_equipment import VectorScorer, vector_equipment

import rayforget.trial.alpha_models
from rayforget.evaluate.finite import Scored
from rayforget.foundations.protocol import State
from rayforget.heartbeat import heard_by
from rayforget.interpolate.paths.path import Path, theta_at
from rayforget.trial.alpha_models import Ends
from rayforget.trial.curve import score_spots
from rayforget.values.layers import Layer
from rayforget.values.points import Spot
from rayforget.values.scores import Split

SPOTS = (Spot(0.1), Spot(0.2, "lines(gamma=0.5)"), Spot(0.2), Spot(0.4), Spot(0.4, "blocks(leads=[0])"))
GIB = 2**-30


class Together(VectorScorer):
    """Sets how many models share a pass."""

    def __init__(self, models_per_pass: int | None) -> None:
        super().__init__()
        self.models_per_pass = models_per_pass

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        self.asked.append(len(thetas))
        return [self._score({}, split) for _ in thetas]


@pytest.mark.parametrize(
    ("models_per_pass", "fitting", "groups"),
    [(None, 2, [2, 2, 1]), (None, 9, [5]), (1, 9, [1] * 5), (3, 9, [3, 2]), (3, 2, [2, 2, 1])],
)
def test_models_of_a_pass_are_gone_before_the_next_are_made(
    models_per_pass: int | None, fitting: int, groups: list[int], tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most, heard = 0, []

    def watched(path: Path, theta_0: State, theta_1: State, t: float, layers: Mapping[str, Layer]) -> State:
        nonlocal most
        made = theta_at(path, theta_0, theta_1, t, layers)
        for tensor in made.values():
            alive.add(tensor)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(rayforget.trial.alpha_models, "theta_at", watched)
    scorer = Together(models_per_pass)
    equipment = vector_equipment(tmp_path, scorer=scorer, resources={"resident_gib": (28 * fitting + 1) * GIB})
    ends = Ends(theta_0={"q_proj.bias": torch.zeros(7)}, theta_1={"q_proj.bias": torch.ones(7)}, layers={})
    with heard_by(lambda stage, done, total: heard.append((stage, done, total))):
        found = score_spots(equipment.models(ends), SPOTS, scorer, "val", equipment)
    assert tuple(found) == SPOTS
    assert scorer.asked == groups
    assert most == max(groups)
    assert heard == [("evaluate val", sum(groups[:place]), 5) for place in range(len(groups))]
