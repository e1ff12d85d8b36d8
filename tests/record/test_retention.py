"""What stays on disk, compared to brute force over small integers (many ties) and random scores."""

from collections.abc import Iterator

import numpy as np
import pytest

from rayforget.frontier.points import THETA_0, FrontierPoint, TaskRole
from rayforget.record.retention import Checkpoint, distances, retain, standard_errors
from rayforget.values.scores import Score

ZERO = (0.0, 0.0)
PLENTY = 1e12


def random_sweep(seed: int, num_trials: int = 7, levels: int = 6) -> list[FrontierPoint]:
    """theta_0, and trials of three methods with two checkpoints and four alphas; scores on a coarse grid tie often."""
    rng = np.random.default_rng(seed)

    def point(trial: str, step: int, alpha: float, fraction: float, method: str, pair: np.ndarray) -> FrontierPoint:
        speciality, generality = (pair / levels).tolist()
        return FrontierPoint(
            trial=trial, step=step, alpha=alpha, fraction=fraction, method=method, coarse=alpha != 0.3,
            speciality=speciality, generality=generality,
        )  # fmt: skip

    start = rng.integers(0, levels, 2)
    points = [point("theta_0", 0, 0.0, 0.0, THETA_0, start)]
    for number in range(num_trials):
        for step, fraction in ((5, 0.5), (10, 1.0)):
            for alpha in (0.0, 0.3, 0.5, 1.0):
                pair = start if alpha == 0 else rng.integers(0, levels, 2)
                points.append(point(f"{number:04d}", step, alpha, fraction, ("l2", "kd", "plain")[number % 3], pair))
    return points


def brute_frontier(points: list[FrontierPoint]) -> list[FrontierPoint]:
    """By the definition, pair by pair; of equal points the lowest (trial, step, alpha)."""

    def beats(one: FrontierPoint, other: FrontierPoint) -> bool:
        a, b = (one.speciality, one.generality), (other.speciality, other.generality)
        return a[0] >= b[0] and a[1] >= b[1] and (a != b or one.key < other.key)

    usable = [point for point in points if point.alpha != 0 or point.method == THETA_0]
    return [point for point in usable if not any(beats(other, point) for other in usable)]


def brute_owners(points: list[FrontierPoint]) -> set[Checkpoint]:
    trained = [point for point in points if point.method != THETA_0]
    sets = [points, [p for p in trained if p.coarse], [p for p in trained if p.alpha == 1]]
    for method in {point.method for point in trained}:
        mine = [point for point in trained if point.method == method]
        sets += [[p for p in mine if p.coarse], [p for p in mine if p.alpha == 1]]
    owners = {(point.trial, point.step) for some in sets for point in brute_frontier(some)}
    baselines = {(p.trial, p.step) for p in trained if p.method == "plain" and p.fraction == 1}
    return owners | baselines


def checkpoints(points: list[FrontierPoint]) -> list[Checkpoint]:
    return sorted({(point.trial, point.step) for point in points if point.method != THETA_0})


@pytest.mark.parametrize("seed", range(30))
def test_without_margin_exactly_the_owners_stay(seed):
    points = random_sweep(seed)
    stored = dict.fromkeys(checkpoints(points), 10)
    decision = retain(points, stored, margin=ZERO, max_bytes=PLENTY)
    assert set(decision.keep) == brute_owners(points) & stored.keys()
    assert sorted((*decision.keep, *decision.delete)) == sorted(stored)
    assert decision.warning is None


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_points_changes_nothing(seed):
    points = random_sweep(seed)
    stored = dict.fromkeys(checkpoints(points), 10)
    shuffled = [points[i] for i in np.random.default_rng(seed).permutation(len(points))]
    for limit in (0, 70, PLENTY):
        decisions = [retain(some, stored, margin=(0.2, 0.1), max_bytes=limit) for some in (points, shuffled)]
        assert decisions[0] == decisions[1]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("margin", [(0.25, 0.25), (0.1, 0.4), (0.0, 0.5), (2.0, 2.0)])
def test_the_margin_keeps_what_a_smaller_rise_would_put_on_the_frontier(seed, margin):
    points = random_sweep(seed, levels=37)  # no margin is a multiple of 1/37: rounding decides nothing
    stored = dict.fromkeys(checkpoints(points), 10)
    frontier = brute_frontier(points)

    def near(point: FrontierPoint) -> bool:
        """Whether it is not weakly dominated after the full rise."""
        risen = point.speciality + margin[0], point.generality + margin[1]
        return not any(f.speciality >= risen[0] and f.generality >= risen[1] for f in frontier)

    expected = {(p.trial, p.step) for p in points if p.method != THETA_0 and p.alpha != 0 and near(p)}
    decision = retain(points, stored, margin=margin, max_bytes=PLENTY)
    assert set(decision.keep) == (expected | brute_owners(points)) & stored.keys()


def all_limits(total: int) -> Iterator[int]:
    yield from range(0, total + 20, 7)


@pytest.mark.parametrize("seed", range(10))
def test_a_smaller_budget_drops_the_farthest_first_and_never_an_owner_or_a_pin(seed):
    points = random_sweep(seed, levels=40)
    rng = np.random.default_rng(seed)
    stored = {key: int(rng.integers(5, 30)) for key in checkpoints(points)}
    pinned = {sorted(stored)[-1], ("gone", 3)}
    must = (brute_owners(points) | pinned) & stored.keys()
    frontier = np.array([(p.speciality, p.generality) for p in brute_frontier(points)])

    def distance(key: Checkpoint) -> float:
        own = [(p.speciality, p.generality) for p in points if (p.trial, p.step) == key and p.alpha != 0]
        return float(distances(np.array(own), frontier).min())

    before: set[Checkpoint] = set()
    for limit in all_limits(sum(stored.values())):
        decision = retain(points, stored, pinned=pinned, margin=(0.3, 0.3), max_bytes=limit)
        keep = set(decision.keep)
        used, needed = sum(stored[key] for key in keep), sum(stored[key] for key in must)
        assert must <= keep
        assert used <= max(limit, needed)
        assert (decision.warning is not None) == (needed > limit)
        assert before <= keep
        optional, dropped = keep - must, {key for key in decision.delete if distance(key) < 0.3}
        if optional and dropped:
            assert max(map(distance, optional)) <= min(map(distance, dropped))
        before = keep


def test_a_warning_names_the_setting():
    points = random_sweep(0)
    stored = dict.fromkeys(checkpoints(points), 2**30)
    decision = retain(points, stored, margin=ZERO, max_bytes=2**29)
    assert decision.warning is not None
    assert "storage.keep.max_gib = 0.50" in decision.warning


@pytest.mark.parametrize("seed", range(10))
def test_deleting_as_the_sweep_goes_never_deletes_what_the_end_needs(seed):
    points = random_sweep(seed, num_trials=12, levels=8)
    stored: dict[Checkpoint, int] = {}
    seen = [point for point in points if point.method == THETA_0]
    for key in checkpoints(points):
        seen += [point for point in points if (point.trial, point.step) == key]
        stored[key] = 10
        decision = retain(seen, stored, margin=(0.1, 0.1), max_bytes=40)
        stored = {kept: 10 for kept in decision.keep}
    assert brute_owners(points) <= stored.keys()


@pytest.mark.parametrize("points", [[], random_sweep(0)[:1], random_sweep(0)])
def test_weights_whose_record_is_still_to_come_are_never_deleted(points):
    stored = dict.fromkeys([*checkpoints(points), ("9999", 5), ("9999", 10)], 10)
    decision = retain(points, stored, margin=ZERO, max_bytes=0)
    assert {("9999", 5), ("9999", 10)} <= set(decision.keep)
    assert len(decision.keep) == 2 + len(brute_owners(points) & stored.keys())


def test_a_curve_that_never_beats_theta_0_is_not_kept_for_its_start():
    theta_0 = random_sweep(0)[0]
    curve = [
        FrontierPoint(
            trial="0000", step=1, alpha=alpha, fraction=0.5, method="l2", coarse=True,
            speciality=theta_0.speciality - 0.5 * alpha, generality=theta_0.generality - 0.5 * alpha,
        )
        for alpha in (0.0, 1.0)
    ]  # fmt: skip
    curve += [
        FrontierPoint(
            trial="0001", step=1, alpha=alpha, fraction=1.0, method="l2", coarse=True,
            speciality=theta_0.speciality - 0.1 * alpha, generality=theta_0.generality - 0.1 * alpha,
        )
        for alpha in (0.0, 1.0)
    ]  # fmt: skip
    stored = {("0000", 1): 1, ("0001", 1): 1}
    assert retain([theta_0, *curve], stored, margin=ZERO, max_bytes=PLENTY).keep == (("0001", 1),)


def test_the_distance_is_the_least_rise_that_leaves_no_better_point():
    rng = np.random.default_rng(0)
    frontier, values = rng.random((5, 2)), rng.random((50, 2))
    found = distances(values, frontier)
    for value, distance in zip(values, found, strict=True):
        beaten = (frontier > value + distance + 1e-12).all(axis=1)
        assert not beaten.any()
        if distance > 0:
            assert (frontier > value + distance - 1e-9).all(axis=1).any()
    assert distances(frontier[:1], frontier[:1]) == [0.0]


def test_standard_errors_are_the_binomial_ones_and_shrink_with_tasks():
    items = np.arange(100) < 36
    plain = Score(rule="accuracy", items=items, items_hash="h")
    weighted = Score(rule="x", items=items.astype(np.float32), weights=np.full(100, 3, np.float32), items_hash="h")
    single = (0.36 * 0.64 / 100) ** 0.5
    roles = [TaskRole(name="s", role="speciality", group="s")]
    roles += [TaskRole(name=f"g{i}", role="generality", group="g") for i in range(4)]
    for score in (plain, weighted):
        scores = {role.name: score for role in roles}
        assert standard_errors(scores, roles) == pytest.approx((single, single / 2))
