import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.points import TaskRole
from rayforget.frontier.uncertainty import (
    Draws,
    bootstrap,
    stack_scores,
    standard_error,
)
from rayforget.metrics.scored_items import ScoredItems
from rayforget.values.scores import Score

ROLES = (
    TaskRole(name="s", role="speciality", group="s"),
    TaskRole(name="g", role="generality", group="g"),
)


def tasks(special: NDArray[np.float64], general: NDArray[np.float64] | None = None) -> Callable[[str], ScoredItems]:
    return {
        "s": ScoredItems(results=special),
        "g": ScoredItems(results=special if general is None else general),
    }.__getitem__


@pytest.mark.parametrize(("num_items", "share"), [(101, 0.5), (400, 0.1), (1001, 0.83)])
def test_error_of_an_accuracy_is_the_binomial_one(num_items: int, share: float) -> None:
    items = (np.arange(num_items) < share * num_items).astype(float)[None]
    p = items.mean()
    resampled = bootstrap(tasks(items), ROLES, Draws(num_resamples=4000, seed=0))
    assert standard_error(resampled)[0, 0] == pytest.approx(math.sqrt(p * (1 - p) / num_items), rel=0.05)
    assert resampled[:, 0, 0].mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / num_items / 4000))


def test_error_of_a_difference_uses_the_pairing() -> None:
    rng = np.random.default_rng(1)
    first = rng.random(501) < 0.6
    second = np.where(rng.random(501) < 0.1, ~first, first)  # differs on a tenth of the items
    resampled = bootstrap(tasks(np.stack([first, second]).astype(float)), ROLES, Draws(num_resamples=4000, seed=0))
    difference = second.astype(float) - first
    expected = difference.std() / math.sqrt(501)  # McNemar's: sqrt((b + c) / n^2 - (b - c)^2 / n^3)
    error = standard_error(resampled[:, 1] - resampled[:, 0])[0]
    assert error == pytest.approx(expected, rel=0.05)
    assert error < 0.6 * math.hypot(*standard_error(resampled)[:, 0])


def test_generality_adds_its_tasks_errors_in_quadrature() -> None:
    roles = (ROLES[0], *(TaskRole(name=n, role="generality", group=g) for n, g in (("a", "x"), ("b", "x"), ("c", "y"))))
    sizes = {"s": 51, "a": 99, "b": 301, "c": 77}
    items = {name: (np.random.default_rng(n).random((1, n)) < 0.4).astype(float) for name, n in sizes.items()}
    resampled = bootstrap(lambda name: ScoredItems(results=items[name]), roles, Draws(num_resamples=4000, seed=3))
    variance = {name: x.var() / x.size for name, x in items.items()}
    expected = math.sqrt((variance["a"] + variance["b"]) / 16 + variance["c"] / 4)
    assert standard_error(resampled)[0, 1] == pytest.approx(expected, rel=0.05)


def test_weighted_items_are_a_ratio_of_sums() -> None:
    rng = np.random.default_rng(5)
    items, weights = rng.random(301), rng.integers(1, 9, size=301).astype(float)
    weighted = {"s": ScoredItems(results=items[None], weights=weights), "g": ScoredItems(results=items[None])}
    resampled = bootstrap(weighted.__getitem__, ROLES, Draws(num_resamples=4000, seed=0))
    value = (items * weights).sum() / weights.sum()
    expected = math.sqrt((weights**2 * (items - value) ** 2).sum()) / weights.sum()  # the delta method
    assert standard_error(resampled)[0, 0] == pytest.approx(expected, rel=0.05)


def test_equal_weights_change_nothing() -> None:
    items = np.random.default_rng(6).random((2, 33))
    heavy = {name: ScoredItems(results=items, weights=np.full(33, 4.0)) for name in ("s", "g")}
    plain = bootstrap(tasks(items), ROLES, Draws(num_resamples=50, seed=0))
    np.testing.assert_allclose(bootstrap(heavy.__getitem__, ROLES, Draws(num_resamples=50, seed=0)), plain, rtol=1e-13)


def test_equal_models_never_differ() -> None:
    items = (np.random.default_rng(7).random((1, 97)) < 0.5).astype(float).repeat(3, axis=0)
    resampled = bootstrap(tasks(items), ROLES, Draws(num_resamples=100, seed=0))
    assert (resampled == resampled[:, :1]).all()


def test_draws_depend_on_seed_and_task_alone() -> None:
    items = (np.random.default_rng(8).random((2, 61)) < 0.5).astype(float)
    once = bootstrap(tasks(items), ROLES, Draws(num_resamples=20, seed=4))
    again = bootstrap(tasks(items[:1], np.zeros((1, 5))), ROLES, Draws(num_resamples=20, seed=4))
    assert (once[:, 0, 0] == again[:, 0, 0]).all()
    assert not (once == bootstrap(tasks(items), ROLES, Draws(num_resamples=20, seed=5))).all()
    assert not (once[:, :, 0] == once[:, :, 1]).all()


@pytest.mark.parametrize("room", [0, 20 * 61, 1 << 20])
def test_draws_that_are_kept_are_those_that_are_drawn_again(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    items = (np.random.default_rng(8).random((2, 61)) < 0.5).astype(float)
    expected = bootstrap(tasks(items), ROLES, Draws(num_resamples=20, seed=4))
    monkeypatch.setattr("rayforget.frontier.uncertainty._KEPT", room)
    monkeypatch.setattr("rayforget.frontier.uncertainty._CHUNK", 200)
    draws = Draws(num_resamples=20, seed=4)
    for _ in range(2):
        assert (bootstrap(tasks(items), ROLES, draws) == expected).all()


def test_sums_of_right_and_wrong_are_exact_and_others_as_exact_as_before() -> None:
    rng = np.random.default_rng(9)
    counts = rng.multinomial(70_001, np.full(70_001, 1 / 70_001), size=3)
    for items in ((rng.random((2, 70_001)) < 0.5).astype(float), rng.random((2, 70_001)), np.full((2, 70_001), 255.0)):
        (found,) = ScoredItems(results=items).resampled([counts])
        expected = [[math.fsum(items[i] * drawn) / 70_001 for i in range(2)] for drawn in counts]
        exact = bool((items == items.astype(int)).all())
        np.testing.assert_allclose(found, expected, rtol=0 if exact else 1e-12)


def test_one_item_has_no_error() -> None:
    assert standard_error(bootstrap(tasks(np.ones((1, 1))), ROLES, Draws(num_resamples=10, seed=0))).tolist() == [
        [0.0, 0.0]
    ]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (ScoredItems(results=np.empty((1, 0))), "no items"),
        (ScoredItems(results=np.ones((1, 2)), weights=np.array([1.0, 0.0])), "weights must be positive"),
    ],
)
def test_what_cannot_be_resampled_is_refused(bad: ScoredItems, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        bootstrap(lambda name: bad, ROLES, Draws(num_resamples=3, seed=0))


def test_scores_on_other_items_are_not_paired() -> None:
    scores = [Score(rule="accuracy", items=np.ones(3, dtype=bool), items_hash=name) for name in ("one", "two")]
    with pytest.raises(RecordError, match="need the same items"):
        stack_scores(scores, task="photo")
    assert stack_scores(scores[:1], task="photo").results.tolist() == [[1.0, 1.0, 1.0]]
