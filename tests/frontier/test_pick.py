"""The choice of a point: against looking at every point, against closed forms, and by what its limits are worth."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from synthetic_sweep import ROLES, make_records

from rayforget.errors import RecordError, SpaceError
from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.limits import SLACK, Limits, limits_in_points
from rayforget.frontier.paired import lowest_values
from rayforget.frontier.pick import Choice, pick_point
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.ranking import bulges, rank_points
from rayforget.frontier.summary import Summary
from rayforget.report.words.choices import option

GROUP = ("art_painting", "cartoon", "sketch")
ASKED: dict[str, Limits] = {
    "default": Limits(),
    "3 points": limits_in_points(max_forgetting=3),
    "no limit": Limits(max_forgetting=None),
    "a gain": limits_in_points(max_forgetting=-0.5),
    "speciality": limits_in_points(min_speciality=66),
    "both": limits_in_points(min_speciality=60, max_forgetting=2),
    "weights": limits_in_points(weights=(2, 1)),
    "weights within": limits_in_points(weights=(1, 4), max_forgetting=5),
    "knee": limits_in_points(knee=True),
    "a task": limits_in_points(keep={"sketch": 0.2}, max_forgetting=3),
    "a group": limits_in_points(keep={"distribution": 0.5, "counting": 0.3}, max_forgetting=3),
}


@cache
def full() -> Summary:
    return summary_of(trained=True)


def summary_of(*, trained: bool) -> Summary:
    """A sweep of six methods, or theta_0 alone, without a bootstrap."""
    records, _ = make_records(trials=7, fractions=(0.5, 1.0))
    found = gather([record for record in records if trained or not record.recipe], ROLES)
    return summarise(found.points, ROLES, val=found.val, test={}, name="tiny", seed=0, num_resamples=0)


@cache
def chosen(asked: str) -> Choice:
    return pick_point(full(), ASKED[asked])


def start(summary: Summary) -> FrontierPoint:
    return next(point for point in summary.points if point.method == "theta_0")


def keeps(point: FrontierPoint, limits: Limits, summary: Summary) -> bool:
    """The limits, written out."""
    base = start(summary)
    losses = {name: base.tasks[name] - point.tasks[name] for name in base.tasks}
    losses["distribution"] = sum(losses[name] for name in GROUP) / 3
    return (
        (limits.max_forgetting is None or base.generality - point.generality <= limits.max_forgetting + SLACK)
        and (limits.min_speciality is None or point.speciality >= limits.min_speciality - SLACK)
        and all(losses[name] <= most + SLACK for name, most in limits.keep.items())
    )


def worth(point: FrontierPoint, limits: Limits, summary: Summary) -> float:
    special, general = point.speciality, point.generality
    match limits.rule:
        case "speciality":
            return special
        case "generality":
            return general
        case "weights":
            return round(limits.weights[0] * special + limits.weights[1] * general, 12)
        case "knee":
            first, last = summary.points[summary.frontier[0]], summary.points[summary.frontier[-1]]
            across = (special - first.speciality) / (last.speciality - first.speciality)
            return round(across + (general - last.generality) / (first.generality - last.generality), 12)


def gains(point: FrontierPoint, summary: Summary) -> bool:
    return point.alpha != 0 and point.speciality > start(summary).speciality


@pytest.mark.parametrize("asked", ASKED)
def test_agrees_with_looking_at_every_point_of_the_report(asked: str) -> None:
    summary, limits, choice = full(), ASKED[asked], chosen(asked)
    allowed = [
        i for i in summary.val if gains(summary.points[i], summary) and keeps(summary.points[i], limits, summary)
    ]

    def key(i: int) -> tuple[float, float, float, int]:
        point = summary.points[i]
        return (worth(point, limits, summary), point.speciality, point.generality, -i)

    assert choice.index == max(allowed, key=key)
    assert choice.num_qualified == len(allowed)
    assert choice.num_points == sum(gains(summary.points[i], summary) for i in summary.val)


@pytest.mark.parametrize("asked", [name for name, limits in ASKED.items() if not limits.keep])
def test_without_limits_on_tasks_no_point_of_the_sweep_is_better(asked: str) -> None:
    summary, limits, index = full(), ASKED[asked], chosen(asked).index
    assert index in summary.frontier
    within = [p for p in summary.points if gains(p, summary) and keeps(p, limits, summary)]
    assert index is not None
    assert worth(summary.points[index], limits, summary) == max(worth(p, limits, summary) for p in within)


@pytest.mark.parametrize("asked", ASKED)
def test_the_next_two_are_the_best_that_add_something(asked: str) -> None:
    summary, limits, choice = full(), ASKED[asked], chosen(asked)
    assert choice.index is not None
    assert len(choice.next) <= 2
    shown = [summary.points[i] for i in (choice.index, *choice.next)]
    for place, point in enumerate(shown):
        assert keeps(point, limits, summary)
        for better in shown[:place]:
            assert point.speciality > better.speciality or point.generality > better.generality
            assert worth(point, limits, summary) <= worth(better, limits, summary)


@pytest.mark.parametrize("asked", ["default", "3 points", "a task", "a group", "both"])
def test_a_cost_is_what_the_looser_limit_gives(asked: str) -> None:
    summary, limits, choice = full(), ASKED[asked], chosen(asked)
    for cost in choice.costs:
        least = dict(keep=dict(limits.keep), max_forgetting=limits.max_forgetting, min_speciality=limits.min_speciality)
        for looser in (cost.next, cost.without):
            if looser is None:
                continue
            if cost.floor.of == "generality":
                least["max_forgetting"] = -looser.least
            elif cost.floor.of == "speciality":
                least["min_speciality"] = looser.least
            else:
                least["keep"] = {**limits.keep, cost.floor.name: -looser.least}
            assert pick_point(summary, replace(limits, **least)).index == looser.index  # type: ignore[arg-type]
        most = cost.without or cost.next
        if cost.floor.of == "generality" and most is not None:
            assert pick_point(summary, replace(limits, max_forgetting=None)).index == most.index


def test_some_limits_cost_something_and_some_nothing() -> None:
    assert chosen("default").costs[0].next is not None
    assert pick_point(full(), limits_in_points(max_forgetting=99)).costs[0].next is None


def test_where_nothing_qualifies_the_named_limits_would_do() -> None:
    summary = full()
    for limits in (
        limits_in_points(max_forgetting=-20),
        limits_in_points(max_forgetting=-20, min_speciality=99),
        limits_in_points(keep={"sketch": -30, "counting": -30}),
    ):
        choice = pick_point(summary, limits)
        assert choice.index is None
        assert choice.nearest
        least: dict[str, object] = {}
        keep = dict(limits.keep)
        for floor, looser in choice.nearest:
            text, _, value = option(floor, looser.least).partition(" ")
            if text == "--keep":
                keep[floor.name] = float(value.rpartition(":")[2]) / 100
            else:
                least[text.removeprefix("--").replace("-", "_")] = float(value) / 100
        assert pick_point(summary, replace(limits, keep=keep, **least)).index is not None  # type: ignore[arg-type]


def test_nothing_is_chosen_where_nothing_beats_theta_0() -> None:
    choice = pick_point(summary_of(trained=False), Limits(max_forgetting=None))
    assert (choice.index, choice.num_points, choice.nearest) == (None, 0, ())


def test_a_better_point_beyond_the_report_is_told() -> None:
    summary = full()
    told = 0
    for most in np.arange(-3, 3, 0.25):
        limits = limits_in_points(keep={"sketch": float(most)}, max_forgetting=50)
        choice = pick_point(summary, limits)
        within = [i for i, p in enumerate(summary.points) if gains(p, summary) and keeps(p, limits, summary)]
        best = max((summary.points[i].speciality for i in within), default=0.0)
        own = 0.0 if choice.index is None else summary.points[choice.index].speciality
        assert (choice.elsewhere is not None) == (best > own)
        if choice.elsewhere is not None:
            assert summary.points[choice.elsewhere].speciality == best
            assert choice.elsewhere not in summary.val
            told += 1
    assert told, "does a report hold the best point for every limit on a task?"


def test_sure_limits_are_kept_by_the_lower_end() -> None:
    records, _ = make_records(trials=7, fractions=(0.5, 1.0))
    val, summary = gather(records, ROLES).val, full()
    limits = replace(ASKED["a task"], sure=True)
    choice = pick_point(summary, limits, val=val)
    floors = tuple(cost.floor for cost in choice.costs)
    keys = [summary.points[i].key for i in sorted(summary.val)]
    lows = lowest_values(floors, keys, val, ROLES, theta_0=start(summary).key)
    kept = [
        i
        for i, low in zip(sorted(summary.val), lows, strict=True)
        if gains(summary.points[i], summary) and all(x >= floor.least for x, floor in zip(low, floors, strict=True))
    ]
    assert choice.index == max(kept, key=lambda i: summary.points[i].speciality, default=None)
    unsure = chosen("a task")
    assert choice.num_qualified < unsure.num_qualified
    assert unsure.index is not None
    assert choice.index is not None
    assert summary.points[choice.index].speciality < summary.points[unsure.index].speciality


def test_ranks_agree_with_looking_at_every_row() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        values = rng.integers(10, size=(13, 2)) / 10
        objective, margins = rng.integers(4, size=13) / 4, rng.integers(-2, 5, size=(13, seed % 3)) / 10
        found = rank_points(objective, values, margins)
        allowed = [i for i in range(13) if all(margins[i] >= 0)]
        order = sorted(allowed, key=lambda i: (-objective[i], -values[i, 0], -values[i, 1], i))
        assert found.order[:1] == tuple(order[:1])
        assert bool(found.order) == bool(allowed)
        if not allowed:
            assert {i for i, _ in found.nearest} == {
                min(range(13), key=lambda i: (-margins[i].min(), found.rank[i])),
            }
    none = rank_points(np.empty(0), np.empty((0, 2)), np.empty((0, 1)))
    assert (none.order, none.nearest) == ((), ())


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(RecordError, match="finite"):
        rank_points(np.ones(1), np.array([[0.9, np.nan]]), np.empty((1, 0)))
    for asked in ({"max_forgetting": np.nan}, {"min_speciality": np.inf}, {"keep": {"photo": np.nan}}):
        with pytest.raises(SpaceError, match="must be a number"):
            limits_in_points(**asked)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0), (np.inf, 1.0), (np.nan, 1.0)])
def test_weights_that_make_no_sense_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(SpaceError, match="weights"):
        limits_in_points(weights=weights)


def test_two_rules_at_once_and_unknown_names_are_refused() -> None:
    with pytest.raises(SpaceError, match="two rules"):
        limits_in_points(knee=True, weights=(1, 1))
    with pytest.raises(SpaceError, match="sure has no effect"):
        limits_in_points(knee=True, sure=True)
    assert limits_in_points(knee=True, sure=True, keep={"photo": 1}).sure
    with pytest.raises(SpaceError, match=r"tasks: photo, art_painting.*groups: distribution, task"):
        pick_point(full(), limits_in_points(keep={"phto": 1}))


def test_a_rule_of_its_own_sets_no_limit_of_one_point() -> None:
    assert limits_in_points() == Limits()
    assert limits_in_points(keep={"photo": 1}).max_forgetting == 0.01
    for own in (limits_in_points(knee=True), limits_in_points(weights=(1, 1)), limits_in_points(min_speciality=5)):
        assert own.max_forgetting is None
    assert limits_in_points(min_speciality=5).rule == "generality"
    assert limits_in_points(min_speciality=5, max_forgetting=2).rule == "speciality"


def circle(angle: float) -> tuple[float, float]:
    return (np.sin(angle), np.cos(angle))


@pytest.mark.parametrize(
    ("curve", "knee"),
    [
        (circle, np.pi / 4),  # a quarter circle's point farthest from its chord is at 45 degrees
        (lambda s: (s, 1 - s**3), 3**-0.5),  # d/ds (s + 1 - s^3) = 0
        (lambda s: (s, 1 - max(0.0, (s - 0.7) / 0.3)), 0.7),  # a corner
    ],
)
def test_the_knee_of_a_known_curve_is_where_calculus_has_it(
    curve: Callable[[float], tuple[float, float]], knee: float
) -> None:
    ends = np.pi / 2 if curve is circle else 1.0
    places = np.sort(np.append(np.linspace(0, ends, 401), knee))
    values = np.array([curve(float(place)) for place in places])
    assert places[int(np.argmax(bulges(values, values)))] == pytest.approx(knee, abs=1e-3)
    scaled = values * [0.2, 0.03] + [0.4, 0.9]  # the axes' units do not matter
    np.testing.assert_allclose(bulges(scaled, scaled), bulges(values, values), atol=1e-9)


def test_a_straight_or_flat_frontier_has_no_knee() -> None:
    line = np.array([[0.0, 1.0], [0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_allclose(bulges(line, line), 0, atol=1e-12)
    assert bulges(line[:1], line[:1]).tolist() == [0.0]
    assert bulges(line, line[:1]).tolist() == [0.0, 0.0, 0.0]
