"""Images that have any number of classes -> mean average precision: how well each class ranks its images first."""

from typing import TYPE_CHECKING

from rayforget.metrics.balanced_accuracy import BalancedAccuracy

if TYPE_CHECKING:
    from torch import Tensor


class MeanAveragePrecision(BalancedAccuracy):
    """Mean over the classes of average precision, without interpolation (as scikit-learn's, `average="macro"`).

        p_ik  = images of class k with a logit of at least z_ik / images with a logit of at least z_ik
        score = 1/K sum_k 1/n_k sum_{i of class k} p_ik

    over the K classes that have an image; z_ik is image i's logit for class k. An item is an image with one of its
    classes, its result is p_ik. Errors and resamples count such pairs and leave the ranks as they are: to first order.
    """

    word = "mAP"
    right_or_wrong = False
    several_labels = True

    def results(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """p_ik of every pair, in the order of `labels.nonzero()`.

        Args:
            logits: shape (num_images, num_classes): those of all images.
            labels: shape (num_images, num_classes), whether the image has the class.
        """
        import torch

        found = torch.zeros_like(logits)
        for k in range(logits.shape[1]):
            own = labels[:, k]
            all_sorted, own_sorted = logits[:, k].sort().values, logits[own, k].sort().values
            at_least = len(all_sorted) - torch.searchsorted(all_sorted, logits[own, k].contiguous())
            right = len(own_sorted) - torch.searchsorted(own_sorted, logits[own, k].contiguous())
            found[own, k] = right.to(found.dtype) / at_least
        return found[labels]
