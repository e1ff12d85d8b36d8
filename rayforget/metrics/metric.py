"""What a metric is: per-item results, sums of them, and the score that the sums stand for; knows no torch.

A metric is one file: a subclass of `Metric`. It is found by its name: one line in `registry.METRICS`, or an entry point
`rayforget.metrics` of another package. A task names it by `metric:` in the space file.

    results of items  --own, common-->  arrays over items  --sum-->  sums per group  --of_sums-->  score

Everything else follows from these: values, resamples of the items, standard errors, two halves of one split together.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]
_STEP = 1e-5
"""Share of a sum by which `slopes` moves it."""


class Metric:
    """What is made of the items' results. Nearly all have to say `of_sums` alone, and what is summed by what."""

    word: ClassVar[str]
    """What tables call it."""
    right_or_wrong: ClassVar[bool] = True
    """Whether an image's result is 0 or 1: kept as a bit. Others are kept as float32."""
    of_images: ClassVar[bool] = True
    """Whether a task on images may name it: whether `results` makes something of logits."""
    needs_classes: ClassVar[bool] = False
    """Whether the score depends on the items' classes: they are recorded with the items."""
    by_class: ClassVar[bool] = False
    """Whether sums are taken over each class's items apart; else over all of them, one group."""

    def results(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """One result for each image, from what a classifier says of it; here whether the largest logit is the label's.

        Args:
            logits: shape (num_images, num_classes).
            labels: shape (num_images,): the right classes.

        Returns:
            Shape (num_images,), finite. It depends on no other image of the batch.
        """
        return logits.argmax(dim=-1) == labels

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """What is summed and differs from model to model.

        Args:
            results: shape (..., num_items), of any number of models.
            weights: shape (num_items,); ones where every item weighs 1.
            classes: shape (num_items,); None where they are not recorded.

        Returns:
            Arrays of the shape of `results`.
        """
        return (results * weights,)

    def common(self, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """What is summed and is the same for all models: arrays of shape (num_items,)."""
        return (weights,)

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """The score, in [0, 1], higher is better.

        Args:
            own: a sum for each array of `own`, shape (..., num_groups).
            common: a sum for each array of `common`, of a shape that broadcasts against those.

        Returns:
            Shape (...).
        """
        raise NotImplementedError(f"{type(self).__name__} has no `of_sums`: a metric says there what its score is")

    def slopes(self, own: Sequence[Floats], common: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """d score / d each sum, by which errors of the sums become one of the score; here by central differences.

        Args:
            own: sums of one model, each of shape (num_groups,).
            common: likewise.

        Returns:
            As many arrays of the same shapes.
        """
        sums = [*own, *common]
        found = []
        for place, each in enumerate(sums):
            sizes = _STEP * np.maximum(abs(each), 1.0)
            ahead, behind = (self._at(sums, place, each + sign * np.diag(sizes), len(own)) for sign in (1, -1))
            found.append((ahead - behind) / (2 * sizes))
        return found[: len(own)], found[len(own) :]

    def readings(self, total: float, count: float, facts: Mapping[str, int]) -> dict[str, float]:
        """What stands behind a score and is shown beside it, by name; nothing for most."""
        return {}

    def _at(self, sums: Sequence[Floats], place: int, moved: Floats, num_own: int) -> Floats:
        now = [moved if i == place else np.broadcast_to(each, moved.shape) for i, each in enumerate(sums)]
        return self.of_sums(now[:num_own], now[num_own:])
