"""A folder that was written -> its scores, on the splits and items on which the point was scored.

A point that the report keeps off `test` is kept off it here too: if whatever is exported were scored there, `test`
would come to choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rayforget.determinism import deterministic
from rayforget.errors import RecordError
from rayforget.evaluate.finite import require_finite
from rayforget.export.folder import read_again
from rayforget.export.point import RecordedPoint, by_split
from rayforget.foundations.protocol import Foundation
from rayforget.space.foundation import FoundationConfig
from rayforget.space.models import Space
from rayforget.space.precision import precision_in
from rayforget.trial.precise import in_precision
from rayforget.values.scores import Score, Split

Scores = Mapping[str, Score]
"""Task -> score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredAgain:
    """A folder's own scores; it is run as the sweep ran its models, in the sweep's precision."""

    val: Scores
    test: Scores | None
    """None if the point was not scored there."""

    @property
    def by_split(self) -> dict[Split, Scores]:
        """The splits that were scored."""
        return by_split(self.val, self.test)


def measure_again(
    space: Space,
    point: RecordedPoint,
    spec: FoundationConfig,
    *,
    read: Foundation | None = None,
    extra: Mapping[str, Tensor] | None = None,
) -> MeasuredAgain:
    """Scores a folder with the recipe's head, on `test` only if the point was scored there.

    Args:
        space: the sweep's.
        point: whose recipe decides what scores the speciality, and whose items must be these.
        spec: the folder.
        read: the folder as it was read on the CPU, if it was.
        extra: tensors that the recipe's head adds.

    Raises:
        RecordError: the data is no longer the sweep's.
        TrainingError: outputs are not finite.
    """
    wanted = space.resources.gpus_per_worker > 0 and torch.cuda.device_count() > 0
    device = torch.device("cuda", 0) if wanted else torch.device("cpu")
    foundation = read if read is not None and not wanted else read_again(space, spec, device)
    found: dict[Split, Scores] = {}
    for split, recorded in point.by_split.items():
        with deterministic(space.resources.deterministic):
            head = {name: tensor.to(device) for name, tensor in (extra or {}).items()}
            precision = precision_in(point.record.provenance) if split == "val" else space.resources.test_precision
            scorer = in_precision(foundation.scorer(point.recipe), precision, device)
            (scored,) = scorer.score([head], split)
        found[split] = require_finite(
            scored, split, model="the exported folder", advice="export it in a wider type (--dtype)"
        )
        for task, score in recorded.items():
            if found[split][task].items_hash != score.items_hash:
                raise RecordError(
                    f"tasks.{task}.{split} does not hold the items that the point was scored on; restore the data, so "
                    "that both scores compare"
                )
    return MeasuredAgain(val=found["val"], test=found.get("test"))


def differences(found: Scores, recorded: Scores) -> dict[str, str]:
    """Task -> how its items' results differ, in words: `2 of 301`; of likelihoods, which all do, `by up to 0.003`.

    Results that are classes or counts have no distance: that they differ is what counts.
    """
    words = {}
    for task, score in found.items():
        other = recorded[task].items
        numbers = [items.astype(np.float64) for items in (score.items, other)]
        if all((each == np.round(each)).all() for each in numbers):
            differ = (score.items != other).reshape(len(other), -1).any(axis=1)
            words[task] = f"{int(differ.sum())} of {len(other)}"
        else:
            largest = float(np.abs(numbers[0] - numbers[1]).max(initial=0.0))
            words[task] = f"by up to {largest:.2g}"
    return words
