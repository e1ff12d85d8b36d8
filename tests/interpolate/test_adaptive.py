"""The next alphas lie where a curve bends and the frontier is undecided, and nowhere else."""

import numpy as np
import pytest

from rayforget.interpolate.adaptive import next_alphas

NONE = np.empty((0, 2))


def alphas_of(known, frontier, **limits) -> list[float]:
    """The alphas for a single path."""
    return [alpha for alpha, _ in next_alphas({"lerp": known}, frontier, **limits)]


def curve(alphas, peak: float = 0.55):
    """A WiSE-FT-like curve: speciality is a parabola with its peak inside, generality falls."""
    return [(a, 0.6 - 0.3 * (a - peak) ** 2, 0.5 - 0.2 * a**2) for a in alphas]


def test_alphas_are_new_inside_and_within_the_budget() -> None:
    known = curve([0, 0.25, 0.5, 0.75, 1])
    for budget in (1, 2, 3, 10):
        alphas = alphas_of(known, NONE, budget=budget)
        assert 0 < len(alphas) <= budget
        assert all(0 < alpha < 1 and alpha not in {0.25, 0.5, 0.75} for alpha in alphas)


def test_nothing_is_worth_a_look_below_the_frontier() -> None:
    known = curve([0, 0.25, 0.5, 0.75, 1])
    assert alphas_of(known, np.array([[0.9, 0.9]]), budget=4) == []


def test_it_looks_where_the_frontier_is_not_yet_decided() -> None:
    known = curve([0, 0.25, 0.5, 0.75, 1])
    dominates_all_but_the_first_interval = np.array([[0.61, 0.496]])
    assert alphas_of(known, dominates_all_but_the_first_interval, budget=3) == [0.125]


def test_order_of_the_curve_does_not_matter() -> None:
    known = curve([0, 0.3, 0.5, 1])
    assert alphas_of(known, NONE, budget=3) == alphas_of(known[::-1], NONE, budget=3)


def test_halving_ends_at_the_smallest_width() -> None:
    known = curve([0, 0.5, 1])
    for _ in range(200):
        alphas = alphas_of(known, NONE, budget=2, min_width=0.05)
        if not alphas:
            break
        known += curve(alphas)
    widths = np.diff(sorted(alpha for alpha, _, _ in known))
    assert widths.min() >= 0.025 - 1e-9


@pytest.mark.parametrize("peak", [0.3, 0.55, 0.8])
def test_refinement_finds_more_hypervolume_than_the_coarse_grid(peak: float) -> None:
    from rayforget.frontier.hypervolume import hypervolume

    reference = np.array([0.3, 0.2])
    known = curve([0, 0.25, 0.5, 0.75, 1], peak)
    coarse = hypervolume(np.array(known)[:, 1:], reference)
    for _ in range(2):
        known += curve(alphas_of(known, NONE, budget=2), peak)
    refined = hypervolume(np.array(known)[:, 1:], reference)
    fine = hypervolume(np.array(curve(np.linspace(0, 1, 1001), peak))[:, 1:], reference)
    assert (fine - refined) < 0.7 * (fine - coarse)


def test_paths_share_the_budget_and_the_most_promising_interval_of_any_comes_first() -> None:
    high = [(alpha, s + 0.1, g + 0.1) for alpha, s, g in curve([0, 0.5, 1])]
    low = curve([0, 0.5, 1])
    assert {path for _, path in next_alphas({"low": low, "high": high}, NONE, budget=4)} == {"high"}
    assert next_alphas({"low": low, "high": high}, NONE, budget=1)[0][1] == "high"
    beside = next_alphas({"one": high, "other": high}, NONE, budget=3)
    assert len(beside) == 3
    assert beside[:2] == [(beside[0][0], "one"), (beside[0][0], "other")]


def test_another_path_is_a_frontier_to_beat() -> None:
    low, high = curve([0, 0.5, 1]), [(alpha, 0.9, 0.9) for alpha in (0.0, 0.5, 1.0)]
    assert next_alphas({"low": low, "high": high}, NONE, budget=4) == []
