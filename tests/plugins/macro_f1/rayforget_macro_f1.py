"""The predicted class of each image -> the mean over classes of F1, which is not a mean over images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rayforget.metrics.metric import Classes, Floats, Metric


class MacroF1(Metric):
    """The F1 of class k is 2 t_k / (p_k + n_k), with the numbers of images rightly predicted as k, predicted as k, and
    of k.

    An image's result is its predicted class. A class that is neither there nor predicted has no F1.
    """

    word = "macro F1"
    right_or_wrong = False
    needs_classes = True

    def results(self, logits: Any, labels: Any) -> Any:
        """The predicted class."""
        return logits.argmax(dim=-1)

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """For each existing class: whether it is predicted and right, and whether it is predicted."""
        assert classes is not None
        predicted = [(results == k) * weights for k in range(classes.max() + 1)]
        return (*(each * (classes == k) for k, each in enumerate(predicted)), *predicted)

    def common(self, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """For each class whether it is the item's."""
        assert classes is not None
        return tuple((classes == k) * weights for k in range(classes.max() + 1))

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """The mean of 2 t_k / (p_k + n_k)."""
        num_classes = len(common)
        right, predicted = np.stack(own[:num_classes]), np.stack(own[num_classes:])
        sizes = predicted + np.stack([np.broadcast_to(each, own[0].shape) for each in common])
        known = sizes > 0
        f1 = 2 * right / np.where(known, sizes, 1.0)
        score: Floats = (f1.sum(axis=0) / known.sum(axis=0))[..., 0]
        return score
