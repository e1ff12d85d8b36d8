"""Every metric's value, resamples and errors against brute force, and its limiting cases."""

import itertools

import numpy as np
import pytest
import torch

from rayforget.metrics.accuracy import Accuracy
from rayforget.metrics.balanced_accuracy import BalancedAccuracy
from rayforget.metrics.bits_per_byte import BitsPerByte
from rayforget.metrics.find import metric_of
from rayforget.metrics.metric import Metric
from rayforget.metrics.registry import METRICS
from rayforget.metrics.scored_items import ScoredItems
from rayforget.metrics.top5 import Top5

RNG = np.random.default_rng(0)
SIZES = (1, 7, 40, 3)
"""Items of each class; class 4 has none."""
CLASSES = RNG.permutation(np.repeat(np.arange(4), SIZES)).astype(np.int32)


def brute(results: np.ndarray, classes: np.ndarray) -> float:
    """scikit-learn's definition: mean over the existing classes of the share that is right."""
    recalls = []
    for k in set(classes.tolist()):
        own = [right for right, label in zip(results, classes, strict=True) if label == k]
        recalls.append(sum(own) / len(own))
    return float(sum(recalls) / len(recalls))


def items(num_models: int, classes: np.ndarray, share: float = 0.6) -> np.ndarray:
    return (RNG.random((num_models, len(classes))) < share).astype(float)


def test_balanced_accuracy_is_the_mean_of_recalls() -> None:
    results = items(5, CLASSES)
    task = ScoredItems(metric=BalancedAccuracy(), results=results, classes=CLASSES)
    assert task.values() == pytest.approx([brute(each, CLASSES) for each in results])
    assert task.values() != pytest.approx(results.mean(axis=1).tolist())


@pytest.mark.parametrize("gap", [0, 3])
def test_of_balanced_classes_it_is_accuracy(gap: int) -> None:
    """Holds even if there are unused labels between them."""
    classes = (1 + gap) * np.arange(60) % (4 * (1 + gap))
    results = items(3, classes)
    task = ScoredItems(metric=BalancedAccuracy(), results=results, classes=classes)
    assert task.values() == pytest.approx(results.mean(axis=1).tolist(), abs=1e-15)
    plain = ScoredItems(results=results)
    assert (task.variances() <= plain.variances() + 1e-15).all()  # within classes, without the variance between them
    assert (task.variances() > 0.7 * plain.variances()).all()


def test_a_resample_leaves_out_a_class_that_is_absent_from_it() -> None:
    results = items(2, CLASSES)
    task = ScoredItems(metric=BalancedAccuracy(), results=results, classes=CLASSES)
    draws = RNG.integers(len(CLASSES), size=(50, len(CLASSES)))
    lone = int(np.flatnonzero(CLASSES == 0)[0])
    absent = [lone not in draw for draw in draws]
    assert 5 < sum(absent) < 45  # the class of one item is absent from 37 % of the resamples
    counts = np.stack([np.bincount(draw, minlength=len(CLASSES)) for draw in draws]).astype(float)
    (together,) = task.resampled([counts])
    apart = np.concatenate(list(task.resampled([counts[:7], counts[7:]])))
    expected = [[brute(each[draw], CLASSES[draw]) for each in results] for draw in draws]
    np.testing.assert_allclose(together, expected, rtol=1e-12)
    np.testing.assert_allclose(apart, together, rtol=1e-14)


def test_balanced_accuracys_error_is_the_classes_errors_in_quadrature() -> None:
    classes = np.repeat(np.arange(3), (900, 90, 30))
    results = items(1, classes, 0.7)
    task = ScoredItems(metric=BalancedAccuracy(), results=results, classes=classes)
    recalls = [results[0][classes == k].mean() for k in range(3)]
    expected = sum(r * (1 - r) / n for r, n in zip(recalls, (900, 90, 30), strict=True)) / 9
    assert task.variances()[0] == pytest.approx(expected)
    draws = np.stack([np.bincount(RNG.integers(1020, size=1020), minlength=1020) for _ in range(3000)]).astype(float)
    (resampled,) = task.resampled([draws])
    assert resampled.std() ** 2 == pytest.approx(expected, rel=0.15)


def test_a_bootstrap_interval_of_balanced_accuracy_covers() -> None:
    """95 % of samples, in which the classes' sizes vary as they do in resamples."""
    rng = np.random.default_rng(5)
    truth, shares, recalls = 0.7, (0.8, 0.15, 0.05), np.array([0.9, 0.5, 0.7])
    held = []
    for _ in range(300):
        classes = rng.choice(3, size=300, p=shares)
        results = (rng.random(300) < recalls[classes]).astype(float)[None]
        counts = rng.multinomial(300, np.full(300, 1 / 300), size=300).astype(float)
        (found,) = ScoredItems(metric=BalancedAccuracy(), results=results, classes=classes).resampled([counts])
        low, high = np.percentile(found, [2.5, 97.5])
        held.append(low <= truth <= high)
    assert 0.91 <= np.mean(held) <= 0.98


@pytest.mark.parametrize("metric", [Accuracy(), BalancedAccuracy(), BitsPerByte()], ids=lambda metric: metric.word)
@pytest.mark.parametrize("weighted", [False, True])
def test_values_resamples_and_variances_agree(metric: Metric, weighted: bool) -> None:
    """Counting each item once gives the score itself; the variance is the infinitesimal jackknife's."""
    results, num = items(2, CLASSES), len(CLASSES)
    weights = RNG.integers(1, 9, size=num).astype(float) if weighted else None
    task = ScoredItems(metric=metric, results=results, weights=weights, classes=CLASSES)
    (once,) = task.resampled([np.ones((1, num))])
    np.testing.assert_allclose(once[0], task.values(), rtol=1e-14)
    step = 1e-6
    (moved,) = task.resampled([1 + step * np.concatenate((np.eye(num), -np.eye(num)))])
    influence = (moved[:num] - moved[num:]) / (2 * step)
    np.testing.assert_allclose(task.variances(), (influence**2).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("metric", [BalancedAccuracy(), BitsPerByte(), Accuracy()], ids=lambda metric: metric.word)
def test_slopes_by_hand_are_the_inherited_ones(metric: Metric) -> None:
    own, common = [np.array([3.0, 5.0, 0.0])[: 3 if metric.by_class else 1]], [np.array([4.0, 9.0, 2.0])]
    common = [common[0][: len(own[0])]]
    for by_hand, by_differences in zip(
        itertools.chain(*metric.slopes(own, common)), itertools.chain(*Metric.slopes(metric, own, common)), strict=True
    ):
        np.testing.assert_allclose(by_hand, by_differences, atol=1e-9)


def test_a_mean_is_summed_as_it_always_was() -> None:
    """To the last bit; otherwise old sweeps' points would not be those of new ones."""
    for size in (1, 33, 1001):
        bits = (RNG.random(size) * 2 - 0.3).astype(np.float32).astype(np.float64)
        weights = RNG.integers(1, 99, size=size).astype(np.float32)
        (mean,) = ScoredItems(results=bits[None]).values()
        assert mean == float(bits.sum()) / size
        (score,) = ScoredItems(metric=BitsPerByte(), results=bits[None], weights=weights.astype(np.float64)).values()
        assert score == float(np.exp2(-(float((bits * weights).sum()) / float(weights.astype(np.float64).sum()))))


def test_an_image_is_right_where_the_largest_logit_is_its_labels() -> None:
    logits, labels = torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8]]), torch.tensor([1, 1, 1])
    for name in ("accuracy", "balanced_accuracy"):
        assert METRICS.find(name).value().results(logits, labels).tolist() == [True, False, True]


def test_a_name_that_is_not_ours_is_lm_evals_mean() -> None:
    assert type(metric_of("prompt_level_strict_acc")) is Accuracy
    assert type(metric_of("balanced_accuracy")) is BalancedAccuracy


def test_top_5_counts_the_right_class_among_the_five_largest_logits() -> None:
    logits = torch.from_numpy(RNG.permuted(np.tile(np.arange(9.0), (200, 1)), axis=1))
    labels = torch.from_numpy(RNG.integers(0, 9, 200))
    right = (logits.topk(5, dim=1).indices == labels[:, None]).any(dim=1)
    assert (Top5().results(logits, labels) == right).all()
    ties = Top5().results(torch.zeros(7, 7), torch.arange(7))
    assert ties.tolist() == [True] * 5 + [False] * 2
    assert metric_of("top5").of_images
