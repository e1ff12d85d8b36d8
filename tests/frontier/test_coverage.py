"""How often the interval of what one training recovers holds the truth, in sweeps simulated from a known world.

A training's learning rate is log-uniform, as in a space: some trainings do next to nothing, some do as plain
fine-tuning does, so that what one recovers is far from normal. The curve of speed u in (0, 1), with deviations e, f of
5 %:

    S(alpha) = 0.30 + 0.16 (1 - exp(-4 u alpha)) exp(e)      G(alpha) = 0.90 - 0.14 (u alpha)^1.5 exp(f)

An item is right if its threshold lies below S or G; a fifth of the thresholds are drawn anew for each training. Plain
fine-tuning has three seeds. Points are chosen and scored on the same items, as in a report.
"""

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from rayforget.frontier.choose import is_plain_baseline
from rayforget.frontier.compare import summarise
from rayforget.frontier.each_training import choose_each
from rayforget.frontier.hypervolume import hypervolumes
from rayforget.frontier.intervals import MEASURED_COVERAGE, boxes, interval_of_mean
from rayforget.frontier.measured import measure
from rayforget.frontier.points import THETA_0, FrontierPoint, PointKey, TaskRole
from rayforget.frontier.summary import OneTraining
from rayforget.frontier.trainings import Trainings
from rayforget.values.scores import Score

ROLES = (
    TaskRole(name="s", role="speciality", group="s"),
    TaskRole(name="g", role="generality", group="g"),
)
ALPHAS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
NUM_ITEMS = 600
RESAMPLES = 200


def curves(
    rng: np.random.Generator, count: int, *, plain: bool, speed: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """True (S, G), shape (count, num_alphas, 2); draws a speed if none is given."""
    if speed is None:
        speed = np.full(count, 0.9) if plain else rng.random(count)
    moved = np.exp(rng.normal(scale=0.05, size=(2, count, 1)))
    reach = speed[:, None] * ALPHAS
    return np.stack((0.3 + 0.16 * (1 - np.exp(-4 * reach)) * moved[0], 0.9 - 0.14 * reach**1.5 * moved[1]), axis=-1)


@cache
def true_mean() -> float:
    """What one training recovers alone, in expectation over infinitely many items and seeds."""
    rng = np.random.default_rng(0)
    special, general = curves(rng, 200_000, plain=True)[:, -1].mean(axis=0)
    shares = hypervolumes(curves(rng, 200_000, plain=False), (0.3, general)) / ((special - 0.3) * (0.9 - general))
    return float(shares.mean())


def homed_in(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A sampler's speeds: two at random, then all near the better one, which is the faster."""
    first = rng.random(2)
    return np.concatenate((first, np.clip(first.max() + rng.normal(scale=0.05, size=count - 2), 0, 1)))


Simulated = tuple[list[FrontierPoint], dict[PointKey, dict[str, Score]]]
"""A sweep's points, and their scores on val."""


def simulate(rng: np.random.Generator, num_trainings: int, *, homing: bool = False) -> Simulated:
    thresholds = rng.random((2, NUM_ITEMS))
    points: list[FrontierPoint] = []
    val: dict[PointKey, dict[str, Score]] = {}

    def add(trial: str, method: str, seed: int, truth: NDArray[np.float64], alphas: NDArray[np.float64]) -> None:
        own = np.where(rng.random((2, NUM_ITEMS)) < 0.2, rng.random((2, NUM_ITEMS)), thresholds)
        for pair, alpha in zip(truth, alphas, strict=True):
            items = (own if alpha else thresholds) < pair[:, None]
            key = PointKey(trial, 0 if method == "theta_0" else 1, float(alpha))
            val[key] = {
                role.name: Score(rule="accuracy", items=right, items_hash=role.name)
                for role, right in zip(ROLES, items, strict=True)
            }
            special, general = items.mean(axis=1)
            points.append(
                FrontierPoint(
                    trial=trial,
                    step=key[1],
                    alpha=float(alpha),
                    fraction=float(key[1]),
                    method=method,
                    coarse=True,
                    speciality=float(special),
                    generality=float(general),
                    recipe={"method": method, "learning_rate": 0 if method == "plain" else seed, "seed": seed},
                )
            )

    add("theta_0", "theta_0", 0, np.array([[0.3, 0.9]]), np.zeros(1))
    for method, count in (("plain", 3), ("full", num_trainings)):
        speed = homed_in(rng, count) if homing and method == "full" else None
        for seed, truth in enumerate(curves(rng, count, plain=method == "plain", speed=speed)):
            add(f"{method}-{seed}", method, seed, truth, ALPHAS)
    return points, val


def one_training(sweep: Simulated) -> OneTraining:
    """What a report says of one training of `full`, without all else that it says."""
    points, val = sorted(sweep[0], key=lambda point: point.key.order), sweep[1]
    recipes = choose_each(points)["full"].curve
    alone = tuple(own for trainings in recipes for own in trainings)
    plain = tuple(i for i, point in enumerate(points) if is_plain_baseline(point))
    (theta_0,) = (i for i, point in enumerate(points) if point.method == THETA_0)
    measured = measure(
        {i: points[i].key for i in (theta_0, *plain)},
        val,
        ROLES,
        theta_0=theta_0,
        split="val",
        num_resamples=RESAMPLES,
        seed=0,
        trainings=Trainings(points={i: points[i] for own in alone for i in own}, alone=alone, plain=plain),
    )
    found = measured.one_training(recipes, plain=plain)
    assert found is not None
    return found


def covered(num_trainings: int, *, sweeps: int, homing: bool = False) -> float:
    truth = true_mean()
    held = []
    for number in range(sweeps):
        sweep = simulate(np.random.default_rng([num_trainings, number, 1]), num_trainings, homing=homing)
        found = one_training(sweep)
        assert found.recipes == num_trainings
        interval = found.interval
        assert interval is not None
        assert interval.low is not None
        assert interval.high is not None
        held.append(interval.low <= truth <= interval.high)
    return float(np.mean(held))


@pytest.mark.parametrize("num_trainings", MEASURED_COVERAGE)
def test_the_simulated_intervals_are_those_of_a_report(num_trainings: int) -> None:
    points, val = simulate(np.random.default_rng(num_trainings), num_trainings)
    summary = summarise(points, ROLES, val=val, test={}, name="s", seed=0, num_resamples=RESAMPLES)
    told, found = summary.methods[0].one_curve, one_training((points, val))
    assert told is not None
    assert told.interval is not None
    assert found.interval is not None
    assert (found.mean, found.recipes) == (pytest.approx(told.mean), told.recipes)
    assert (found.interval.low, found.interval.high) == pytest.approx((told.interval.low, told.interval.high))


@pytest.mark.slow
@pytest.mark.parametrize("num_trainings", MEASURED_COVERAGE)
def test_intervals_cover_what_the_report_says_they_do(num_trainings: int) -> None:
    measured, sweeps = covered(num_trainings, sweeps=200), 200
    told = MEASURED_COVERAGE[num_trainings]
    assert measured == pytest.approx(told, abs=3 * math.sqrt(told * (1 - told) * (1 / sweeps + 1 / 1500)))
    if num_trainings == 12:
        assert 0.92 <= measured <= 0.98


@pytest.mark.slow
def test_the_interval_of_what_a_sampler_homed_in_on_holds_the_domains_mean_too_rarely() -> None:
    assert covered(12, sweeps=100, homing=True) < 0.88


def test_drawing_four_with_replacement_would_cover_80_percent() -> None:
    """The plain percentile bootstrap of a normal mean, and Student's interval instead."""
    rng = np.random.default_rng(0)
    found = rng.normal(size=(2000, 4))
    draws = found[:, rng.integers(4, size=(1000, 4))].mean(axis=-1)
    low, high = np.percentile(draws, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.80, abs=0.04)
    one = boxes(np.tile([0.0, 1.0], (2, 1)), np.tile([1.0, 0.0], (2, 1)))
    held = []
    for shares in found + 100:  # far from 0, where an interval of recovered ends
        interval = interval_of_mean(shares, np.tile(shares, (2, 1)), one)
        assert interval is not None
        assert interval.low is not None
        assert interval.high is not None
        held.append(interval.low <= 100 <= interval.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)
