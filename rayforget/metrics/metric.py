"""The interface of a metric: per-item results, sums of them, and the score made of the sums; knows no torch.

A metric is one file: a subclass of `Metric`. It is registered by one line in `registry.METRICS`, or an entry point
`rayforget.metrics` of another package. A task names it with `metric:` in the space file.

    results of items  --own, common-->  arrays over items  --sum-->  sums per group  --of_sums-->  score

Everything else follows from these: values, resamples of the items, standard errors, the whole of two halves.
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
"""The share of a sum by which `slopes` moves it."""


class Metric:
    """How items' results become a score. Most metrics override only `of_sums` and what is summed."""

    word: ClassVar[str]
    """The metric's name in tables."""
    right_or_wrong: ClassVar[bool] = True
    """Whether an image's result is 0 or 1 and so kept as a bit; other results are kept as float32."""
    num_results: ClassVar[int] = 1
    """How many numbers are kept of each item of a text task. With more than one, `own` gets results of shape (...,
    num_items, num_results): counts that are added up over the corpus before a score is made of them."""
    of_images: ClassVar[bool] = True
    """Whether a task on images may name the metric, i.e. whether `results` can be made of logits."""
    min_classes: ClassVar[int] = 1
    """A task with fewer classes is refused: its score would be 1 whatever the model."""
    needs_classes: ClassVar[bool] = False
    """Whether the score depends on the items' classes, which are then recorded with the items."""
    several_labels: ClassVar[bool] = False
    """Whether an image has any number of right classes. `results` is then called once, with the logits of all images
    and labels of shape (num_images, num_classes), bool; an item is an image with one of its classes, in the order of
    `labels.nonzero()`."""
    by_class: ClassVar[bool] = False
    """Whether sums are taken over each class's items separately; else over all items as one group."""

    def results(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """One result per image, from a classifier's logits; by default whether the largest logit is the label's.

        Args:
            logits: shape (num_images, num_classes).
            labels: shape (num_images,): the right classes.

        Returns:
            Shape (num_images,), finite. A result depends on no other image of the batch.
        """
        return logits.argmax(dim=-1) == labels

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """The summands that differ from model to model.

        Args:
            results: shape (..., num_items), for any number of models; see `num_results`.
            weights: shape (num_items,); ones if every item weighs 1.
            classes: shape (num_items,); None if they are not recorded.

        Returns:
            Arrays of shape (..., num_items).
        """
        return (results * weights,)

    def common(self, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """The summands that all models share: arrays of shape (num_items,)."""
        return (weights,)

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """The score, in [0, 1] (a correlation in [-1, 1]), higher is better.

        Args:
            own: the sum of each array of `own`, shape (..., num_groups).
            common: the sum of each array of `common`, of a shape that broadcasts against those.

        Returns:
            Shape (...).
        """
        raise NotImplementedError(f"{type(self).__name__} has no `of_sums`: a metric says there what its score is")

    def slopes(self, own: Sequence[Floats], common: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """d score / d each sum, which turns errors of the sums into one of the score; by default central differences.

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
        """Named readings behind a score, shown beside it; nothing for most metrics."""
        return {}

    def _at(self, sums: Sequence[Floats], place: int, moved: Floats, num_own: int) -> Floats:
        now = [moved if i == place else np.broadcast_to(each, moved.shape) for i, each in enumerate(sums)]
        return self.of_sums(now[:num_own], now[num_own:])
