"""Right or wrong per item -> the share that is right; also any other weighted mean over items."""

from collections.abc import Sequence

from rayforget.metrics.metric import Floats, Metric


class Accuracy(Metric):
    """score = sum_i w_i x_i / sum_i w_i: `accuracy` of images, and lm-eval's metrics that are means."""

    word = "accuracy"

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """total / count."""
        mean: Floats = own[0][..., 0] / common[0][..., 0]
        return mean

    def slopes(self, own: Sequence[Floats], common: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """1 / count and -mean / count."""
        return [1 / common[0]], [-own[0] / common[0] ** 2]
