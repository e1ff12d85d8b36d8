"""Counts of n-grams of each answer's characters -> chrF of the corpus."""

from collections.abc import Sequence

import numpy as np

from rayforget.metrics.metric import Classes, Floats, Metric

_BETA_SQUARED = 4.0


class CorpusChrf(Metric):
    """chrF (Popović 2015), as sacrebleu's `corpus_chrf` and with it lm-eval's `chrf`, over 100.

        score = 5 P R / (4 P + R),   P and R the means over n = 1 ... 6 of the n-grams' precision and recall

    over the orders of which both the answers and the references have n-grams.

    An item's results are, for each order, the answer's n-grams, the reference's, and those of both.
    """

    word = "chrF"
    right_or_wrong = False
    of_images = False
    num_results = 3 * 6

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """Each of the item's counts."""
        return tuple(results[..., place] * weights for place in range(self.num_results))

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """chrF of the corpus's counts."""
        found, wanted, both = (np.stack([each[..., 0] for each in own[place::3]]) for place in range(3))
        there = (found > 0) & (wanted > 0)
        orders = np.maximum(there.sum(axis=0), 1)
        precision, recall = (
            np.where(there, both / np.where(all_ > 0, all_, 1.0), 0.0).sum(axis=0) / orders for all_ in (found, wanted)
        )
        below = _BETA_SQUARED * precision + recall
        score: Floats = (1 + _BETA_SQUARED) * precision * recall / np.where(below > 0, below, 1.0)
        return score


class CorpusChrfWords(CorpusChrf):
    """chrF++ (Popović 2017), lm-eval's `chrf++`: as chrF, with n-grams of one and of two words as further orders."""

    word = "chrF++"
    num_results = 3 * (6 + 2)
