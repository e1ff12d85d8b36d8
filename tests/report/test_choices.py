"""What is said of a choice: the point beyond the report, limits in words, and options that let in what they name."""

import math
from dataclasses import replace

import numpy as np
import pytest
from summaries import make_summary

from rayforget.frontier.limits import SLACK, Floor, Limits, limits_in_points
from rayforget.frontier.pick import pick_point
from rayforget.report.words.choices import changes, costs, elsewhere, limit_words, option, why

ONE = Floor(of="generality", name="generality", relative=True, least=-0.01)


@pytest.mark.parametrize(
    ("floor", "words"),
    [
        (ONE, "lose at most 1 point of generality"),
        (replace(ONE, least=-0.015), "lose at most 1.5 points of generality"),
        (replace(ONE, least=0.0), "lose at most 0 points of generality"),
        (replace(ONE, least=0.02), "gain at least 2 points of generality"),
        (replace(ONE, of="task", name="sketch"), "lose at most 1 point of task sketch"),
        (replace(ONE, of="speciality", name="speciality", relative=False, least=0.45), "have at least 45 % speciality"),
    ],
)
def test_limits_have_words(floor: Floor, words: str) -> None:
    assert limit_words(floor) == words


def test_an_option_lets_its_point_in_and_hardly_more() -> None:
    for least in np.random.default_rng(0).uniform(-0.3, 0.3, 200).tolist():
        for floor in (ONE, replace(ONE, of="task", name="a:b", tasks=("a:b",))):
            points = float(option(floor, least).rpartition(" ")[2].rpartition(":")[2])
            assert -points / 100 <= least + SLACK
            assert -points / 100 > least - 1.001e-4
        score = replace(ONE, of="speciality", name="speciality", relative=False)
        points = float(option(score, abs(least)).partition(" ")[2])
        assert abs(least) - 1.001e-4 < points / 100 <= abs(least) + SLACK
    assert option(replace(ONE, of="task", name="my task"), -0.07) == "--keep 'my task:7'"
    assert option(ONE, -1e-18) == "--max-forgetting 0"
    assert math.copysign(1, float(option(ONE, 0.0).split()[1])) == 1


def test_a_better_point_beyond_the_report_is_named_with_what_it_lacks() -> None:
    summary = make_summary("full")
    limits = (limits_in_points(keep={"sketch": most}, max_forgetting=50) for most in np.arange(-3, 3, 0.25).tolist())
    choice = next(found for each in limits if (found := pick_point(summary, each)).elsewhere is not None)
    assert choice.elsewhere is not None
    told = elsewhere(summary, choice)
    assert told is not None
    assert summary.points[choice.elsewhere].key.text in told
    assert "not scored on test" in told
    assert elsewhere(summary, pick_point(summary, Limits())) is None


def test_one_point_and_no_point_are_told_in_the_singular() -> None:
    summary = make_summary("full")
    choice = pick_point(summary, Limits())
    assert choice.index is not None
    only = replace(choice, num_qualified=1)
    assert why(summary, only).startswith("As the one point that loses at most 1 point of generality on val (of ")
    nothing = pick_point(make_summary("theta_0 alone"), Limits())
    assert why(make_summary("theta_0 alone"), nothing).endswith("no limit would help.")
    free = pick_point(summary, Limits(max_forgetting=None))
    assert why(summary, free).startswith(f"Of the {free.num_points} points that gain speciality on val, it has")
    assert costs(summary, free) == []


def test_test_is_told_only_where_it_is_measured() -> None:
    tested, untested = make_summary("full"), make_summary("no test")
    index = pick_point(tested, Limits()).index
    assert index is not None
    assert index == pick_point(untested, Limits()).index
    assert "on test, which had no say, it" in changes(tested, index)
    assert changes(untested, index).endswith("it is not scored on test.")
