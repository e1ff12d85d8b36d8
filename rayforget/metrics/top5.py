"""Logits of an image -> whether the right class is among the five likeliest; the score is the share that is."""

from typing import TYPE_CHECKING

from rayforget.metrics.accuracy import Accuracy

if TYPE_CHECKING:
    from torch import Tensor

NUM_GUESSES = 5


class Top5(Accuracy):
    """ImageNet's top-5 accuracy: the share of images with fewer than five classes likelier than the right one."""

    word = "top-5 accuracy"
    min_classes = NUM_GUESSES + 1

    def results(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """Ties go to the classes of lower index, as in argmax."""
        import torch

        right = logits.gather(1, labels[:, None])
        places = torch.arange(logits.shape[1], device=logits.device)
        ahead = (logits > right) | ((logits == right) & (places < labels[:, None]))
        return ahead.sum(dim=1) < NUM_GUESSES
