"""Likelihood scores are 2^(-bits per byte) of the whole set, and their errors follow that curve."""

import numpy as np
import pytest

from rayforget.errors import RecordError
from rayforget.frontier.points import TaskRole
from rayforget.frontier.uncertainty import TaskItems, bootstrap, stack_scores, standard_error
from rayforget.record.retention import _variance
from rayforget.record.types import BITS_PER_BYTE, Score

ROLES = (
    TaskRole(name="s", role="speciality", group=""),
    TaskRole(name="g", role="generality", group="g"),
)


def score_of(num_items: int, seed: int = 0) -> Score:
    rng = np.random.default_rng(seed)
    return Score(
        rule=BITS_PER_BYTE,
        items=rng.gamma(4.0, 0.5, num_items).astype(np.float32),
        weights=rng.integers(3, 60, num_items).astype(np.float32),
        items_hash="h",
    )


@pytest.mark.parametrize("num_items", [1, 7, 100])
def test_the_score_is_the_likelihood_per_byte_of_the_whole_set(num_items: int) -> None:
    score = score_of(num_items)
    assert score.weights is not None
    log2_likelihood = -sum(float(x) * float(w) for x, w in zip(score.items, score.weights, strict=True))
    assert np.log2(score.value) == pytest.approx(log2_likelihood / float(score.weights.sum()), rel=1e-5)
    assert 0 < score.value < 1


def test_the_bootstrap_scores_every_resample_by_the_rule() -> None:
    score = score_of(301)
    tasks = {"s": stack_scores([score], task="s"), "g": TaskItems(items=np.ones((1, 5)))}
    resampled = bootstrap(tasks, ROLES, num_resamples=4000, seed=0)[:, 0, 0]
    assert resampled.mean() == pytest.approx(score.value, rel=0.01)
    assert standard_error(resampled[:, None])[0] == pytest.approx(_variance(score) ** 0.5, rel=0.05)


def test_two_rules_do_not_mix() -> None:
    score = score_of(3)
    other = Score(rule="acc", items=score.items, weights=score.weights, items_hash="h")
    with pytest.raises(RecordError, match="scored by bits_per_byte and by acc"):
        stack_scores([score, other], task="s")
