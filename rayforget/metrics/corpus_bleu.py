"""Counts of n-grams of each answer -> BLEU of the corpus."""

from collections.abc import Sequence

import numpy as np

from rayforget.metrics.metric import Classes, Floats, Metric

_ORDERS = 4


class CorpusBleu(Metric):
    """BLEU (Papineni et al. 2002), as sacrebleu's `corpus_bleu` and with it lm-eval's `bleu`, over 100.

        p_n   = n-grams that are right / n-grams of the answers, n = 1 ... 4, over all items
        score = min(1, exp(1 - r / c)) (p_1 p_2 p_3 p_4)^(1/4),   c and r the answers' and the references' lengths

    A p_n without a right n-gram is halved once for each such order so far, in place of 0 ("exp" smoothing); without any
    right n-gram, or without an n-gram of some order, the score is 0.

    An item's results are its right n-grams by order, all its n-grams by order, its length and its reference's.
    """

    word = "BLEU"
    right_or_wrong = False
    of_images = False
    num_results = 2 * _ORDERS + 2

    def own(self, results: Floats, weights: Floats, classes: Classes | None) -> tuple[Floats, ...]:
        """Each of the item's counts."""
        return tuple(results[..., place] * weights for place in range(self.num_results))

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """BLEU of the corpus's counts."""
        right, found = (np.stack([each[..., 0] for each in own[a : a + _ORDERS]]) for a in (0, _ORDERS))
        length, wanted = own[-2][..., 0], own[-1][..., 0]
        halvings = np.cumsum(right <= 0, axis=0)
        shares = np.where(right > 0, right, 0.5**halvings) / np.where(found > 0, found, 1.0)
        brevity = np.exp(np.minimum(0.0, 1 - wanted / np.where(length > 0, length, 1.0))) * (length > 0)
        there = (found > 0).all(axis=0) & (right > 0).any(axis=0)
        score: Floats = np.where(there, brevity * np.exp(np.log(shares).mean(axis=0)), 0.0)
        return score
