"""Each item's right and chosen answer -> scores of a table of confusions: F1 and Matthews' correlation."""

from collections.abc import Sequence

import numpy as np

from rayforget.metrics.metric import Classes, Floats, Metric


class CorpusF1(Metric):
    """F1 of answer 1 among answers 0 and 1, as scikit-learn's `f1_score` and with it lm-eval's `f1` of choices.

        score = 2 t / (p + n),   t items of answer 1 for which it was chosen, p for which it was chosen, n of answer 1

    0 if there is neither. An item's results are its right and its chosen answer.
    """

    word = "F1"
    right_or_wrong = False
    of_images = False
    num_results = 2

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """Whether answer 1 is right and chosen, whether it is chosen, and whether it is right."""
        right, chosen = results[..., 0] == 1, results[..., 1] == 1
        return (right & chosen) * weights, chosen * weights, right * weights

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """2 t / (p + n)."""
        both, chosen, right = (each[..., 0] for each in own)
        score: Floats = 2 * both / np.where(chosen + right > 0, chosen + right, 1.0)
        return score


class MatthewsCorrelation(Metric):
    """Matthews' correlation of right and chosen answers (Gorodkin 2004), as scikit-learn's and with it lm-eval's `mcc`.

        score = (s c - sum_k p_k n_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k n_k^2))

    with s items, c of them right, p_k for which answer k was chosen, n_k of answer k; 0 if one of the answers is always
    chosen or always right. It is in [-1, 1]: 0 is chance. An item's results are its right and its chosen answer.
    """

    word = "MCC"
    right_or_wrong = False
    of_images = False
    num_results = 2

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """Whether the item is right, then for each answer whether it is chosen, then for each whether it is right."""
        right, chosen = results[..., 0], results[..., 1]
        answers = range(int(results.max()) + 1)
        tables = [(each == k) * weights for each in (chosen, right) for k in answers]
        return ((right == chosen) * weights, *tables)

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """The correlation of the table's margins and diagonal."""
        correct, items = own[0][..., 0], common[0][..., 0]
        tables = np.stack([each[..., 0] for each in own[1:]])
        chosen, right = tables[: len(tables) // 2], tables[len(tables) // 2 :]
        covariance = items * correct - (chosen * right).sum(axis=0)
        product = (items**2 - (chosen**2).sum(axis=0)) * (items**2 - (right**2).sum(axis=0))
        score: Floats = np.where(product > 0, covariance / np.sqrt(np.where(product > 0, product, 1.0)), 0.0)
        return score

    def slopes(self, own: Sequence[Floats], common: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """Central differences; 0 where the score is 0 for want of another answer, since there it has none."""
        half = (len(own) - 1) // 2
        if any(max(float(each[0]) for each in table) == common[0][0] for table in (own[1 : 1 + half], own[1 + half :])):
            return [np.zeros_like(each) for each in own], [np.zeros_like(each) for each in common]
        return super().slopes(own, common)
