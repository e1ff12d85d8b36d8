"""Right or wrong per image -> the mean over classes of the share of a class's images that are right."""

from collections.abc import Sequence

import numpy as np

from rayforget.metrics.metric import Floats, Metric


class BalancedAccuracy(Metric):
    """Mean of the classes' recalls (Brodersen et al. 2010), for sets in which some classes have many more images.

        score = 1/K sum_k r_k,   r_k = right images of class k / images of class k

    over the K classes that have an image, as in scikit-learn's `balanced_accuracy_score`. It equals accuracy if all
    classes are of equal size. In a resample of the items class sizes vary as they would in another sample of as many
    images, and a class that is absent is left out of the mean, as it would be there.
    """

    word = "balanced accuracy"
    needs_classes = True
    by_class = True

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """Mean over the groups that have an item."""
        present = common[0] > 0
        recalls = own[0] / np.where(present, common[0], 1.0)
        score: Floats = (recalls * present).sum(axis=-1) / present.sum(axis=-1)
        return score

    def slopes(self, own: Sequence[Floats], common: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """1 / (K n_k) and -r_k / (K n_k); 0 for a class without items."""
        present = common[0] > 0
        count = np.where(present, common[0], 1.0)
        of_right = present / (count * present.sum())
        return [of_right], [-own[0] / count * of_right]
