"""Soups: the mean of weights, and which models a greedy one keeps (Wortsman et al. 2022, Recipe 1)."""

import itertools
from collections.abc import Sequence

import pytest
import torch

from rayforget.errors import FoundationError
from rayforget.interpolate.soups import greedy, mean_of


def models(count: int, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {"a": torch.randn(5, 3, generator=generator), "b": torch.randn(1, generator=generator)} for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_soup_is_the_mean_of_each_weight(count: int) -> None:
    made = models(count)
    for name, tensor in mean_of(made, ["a", "b"]).items():
        expected = sum(model[name].double().numpy() for model in made) / count
        assert tensor.dtype == torch.float32
        assert tensor.numpy() == pytest.approx(expected, rel=1e-7)


def test_equal_weights_stay_equal_to_the_bit_and_the_order_changes_nothing() -> None:
    (one,) = models(1)
    for count in (2, 3, 6):
        assert torch.equal(mean_of([one] * count, ["a"])["a"], one["a"])
    made = models(3)
    found = [mean_of(order, ["a"])["a"] for order in itertools.permutations(made)]
    assert all(torch.equal(each, found[0]) for each in found)


def test_a_soup_has_the_asked_tensors_and_needs_a_model() -> None:
    assert mean_of(models(2), ["b"]).keys() == {"b"}
    with pytest.raises(FoundationError, match="at least one model"):
        mean_of([], ["b"])


def test_greedy_keeps_what_does_not_lower_the_score_and_asks_in_order() -> None:
    scores = {"a": 0.8, "ab": 0.7, "ac": 0.8, "acd": 0.79, "ace": 0.9}
    asked: list[str] = []

    def score(kept: Sequence[str]) -> float:
        asked.append("".join(kept))
        return scores["".join(kept)]

    assert greedy("abcde", score) == ("a", "c", "e")
    assert asked == ["a", "ab", "ac", "acd", "ace"]


def test_greedy_of_one_is_that_one() -> None:
    assert greedy(["a"], lambda kept: 0.0) == ("a",)


def test_a_greedy_soup_scores_no_less_than_its_best_model() -> None:
    """With any score; here of the mean itself, on random numbers."""
    for seed in range(20):
        values = torch.rand(6, generator=torch.Generator().manual_seed(seed)).tolist()

        def score(kept: tuple[float, ...]) -> float:
            mean = sum(kept) / len(kept)
            return mean * (1.3 - mean)  # two models beat both where they lie on either side of 0.65

        ordered = sorted(values, key=lambda value: score((value,)), reverse=True)
        assert score(greedy(ordered, score)) >= max(score((value,)) for value in values)
