import itertools
import random

from rayforget.frontier.choose import choose_by_method, choose_frontier, is_plain_baseline, points_to_report
from rayforget.frontier.points import FrontierPoint


def make(
    trial: str, method: str, alpha: float, s: float, g: float, coarse: bool = True, step: int = 8
) -> FrontierPoint:
    return FrontierPoint(
        trial=trial,
        step=step,
        alpha=alpha,
        fraction=step / 8,
        method=method,
        coarse=coarse,
        speciality=s,
        generality=g,
    )


THETA_0 = make("theta_0", "theta_0", 0.0, 0.5, 0.6, step=0)
POINTS = [
    THETA_0,
    make("a1", "l1", 0.0, 0.5, 0.6),
    make("a1", "l1", 0.5, 0.7, 0.55),
    make("a1", "l1", 0.75, 0.78, 0.5, coarse=False),
    make("a1", "l1", 1.0, 0.8, 0.4),
    make("a2", "l1", 1.0, 0.75, 0.35),
    make("b1", "kd", 0.5, 0.6, 0.58),
    make("b1", "kd", 1.0, 0.65, 0.5),
    make("p1", "plain", 0.5, 0.72, 0.5),
    make("p1", "plain", 1.0, 0.76, 0.3),
    make("p1", "plain", 1.0, 0.70, 0.35, step=4),
]


def keys(chosen: tuple[int, ...], points: list[FrontierPoint]) -> list[tuple[str, int, float]]:
    return [points[i].key[:3] for i in chosen]


def test_frontier_ascends_in_speciality_and_descends_in_generality() -> None:
    chosen = [POINTS[i] for i in choose_frontier(POINTS)]
    assert [(p.trial, p.alpha) for p in chosen] == [
        ("theta_0", 0.0),
        ("b1", 0.5),
        ("a1", 0.5),
        ("a1", 0.75),
        ("a1", 1.0),
    ]
    assert all(a.generality > b.generality for a, b in itertools.pairwise(chosen))


def test_choice_does_not_depend_on_the_order_of_points() -> None:
    points = [*POINTS, make("a0", "l2", 0.5, 0.7, 0.55), make("c0", "l2", 1.0, 0.8, 0.4)]
    expected = [keys(choose_frontier(points), points)]
    expected += [keys(c, points) for choice in choose_by_method(points) for c in (choice.alpha_1, choice.curve)]
    for seed in range(5):
        mixed = random.Random(seed).sample(points, len(points))
        found = [keys(choose_frontier(mixed), mixed)]
        found += [keys(c, mixed) for choice in choose_by_method(mixed) for c in (choice.alpha_1, choice.curve)]
        assert found == expected
    assert ("a0", 8, 0.5) in expected[0]  # ties belong to the lowest (trial, step, alpha)
    assert ("a1", 8, 1.0) in expected[0]


def test_methods_are_compared_on_the_common_alphas_alone() -> None:
    by_method = {choice.method: choice for choice in choose_by_method(POINTS)}
    assert list(by_method) == ["kd", "l1", "plain", "all"]
    assert keys(by_method["l1"].curve, POINTS) == [("a1", 8, 0.5), ("a1", 8, 1.0)]
    assert keys(by_method["l1"].alpha_1, POINTS) == [("a1", 8, 1.0)]
    assert keys(by_method["kd"].alpha_1, POINTS) == [("b1", 8, 1.0)]
    assert {method: choice.trainings for method, choice in by_method.items()} == {
        "kd": 1,
        "l1": 2,
        "plain": 1,
        "all": 4,
    }


def test_plain_is_part_of_all_and_of_no_other_method() -> None:
    by_method = {choice.method: choice for choice in choose_by_method(POINTS)}
    assert all(POINTS[i].method == "plain" for i in by_method["plain"].curve)
    assert not any(POINTS[i].method == "plain" for name in ("kd", "l1") for i in by_method[name].curve)
    better = [*POINTS, make("p2", "plain", 1.0, 0.9, 0.59)]
    together = choose_by_method(better)[-1]
    assert keys(together.alpha_1, better) == [("p2", 8, 1.0)]


def test_the_start_of_a_curve_is_never_chosen() -> None:
    lucky = [*POINTS, make("a0", "l1", 0.0, 0.5, 0.99)]
    assert keys(choose_frontier(lucky), lucky) == keys(choose_frontier(POINTS), POINTS)


def test_no_points_give_no_frontier() -> None:
    assert choose_frontier([]) == ()
    assert choose_frontier([THETA_0]) == (0,)


def test_report_needs_baselines_frontier_and_each_methods_own_points() -> None:
    wanted = set(points_to_report(POINTS))
    assert {POINTS.index(THETA_0), *choose_frontier(POINTS)} <= wanted
    assert all({*choice.alpha_1, *choice.curve} <= wanted for choice in choose_by_method(POINTS))
    assert {i for i, point in enumerate(POINTS) if is_plain_baseline(point)} <= wanted
    assert ("a2", 8, 1.0) not in keys(tuple(wanted), POINTS)


def test_the_baseline_is_the_end_of_plain_fine_tuning() -> None:
    assert [p.key[:3] for p in POINTS if is_plain_baseline(p)] == [("p1", 8, 1.0)]
