"""Bits per byte of texts, weighted by their bytes -> a score in [0, 1]."""

from collections.abc import Mapping, Sequence

import numpy as np

from rayforget.metrics.metric import Floats, Metric

TOKENS = "tokens"
"""A fact of likelihood scores: the number of tokens of all answers together."""


class BitsPerByte(Metric):
    """score = 2^(-bits per byte), where bits per byte is the sum of weighted items over the sum of their bytes."""

    word = "likelihood"
    right_or_wrong = False
    of_images = False

    def of_sums(self, own: Sequence[Floats], common: Sequence[Floats]) -> Floats:
        """2^(-total / count)."""
        score: Floats = np.exp2(-own[0][..., 0] / common[0][..., 0])
        return score

    def slopes(self, own: Sequence[Floats], common: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """-ln 2 * score times the slopes of a mean."""
        of_mean = -np.log(2) * np.exp2(-own[0] / common[0])
        return [of_mean / common[0]], [-of_mean * own[0] / common[0] ** 2]

    def readings(self, total: float, count: float, facts: Mapping[str, int]) -> dict[str, float]:
        """`bits_per_byte`, and `nll_per_token` in nats if the tokens were counted."""
        found = {"bits_per_byte": total / count}
        if tokens := facts.get(TOKENS):
            found["nll_per_token"] = total * float(np.log(2)) / tokens
        return found
