import dataclasses

import pytest
from summaries import KINDS, make_summary

from rayforget.frontier.intervals import MEASURED_COVERAGE, Interval
from rayforget.frontier.recovered import Recovered
from rayforget.frontier.summary import OneTraining
from rayforget.report.terminal.one_training import one_training_rows
from rayforget.report.words.footnotes import footnotes
from rayforget.report.words.numbers import describe_change, format_recovered, percent, pick_point, read


@pytest.mark.parametrize(
    ("share", "text"), [(0.583, "58.3"), (1.0, "100.0"), (0.0, "0.0"), (-0.0001, "0.0"), (-0.0124, "−1.2")]
)
def test_percent_has_one_decimal_and_no_negative_zero(share: float, text: str) -> None:
    assert percent(share) == text


def test_changes_are_told_in_words_whatever_their_signs() -> None:
    assert describe_change(0.083, 0.091, None) == "gained 8.3 points of speciality and lost 9.1 of generality"
    assert describe_change(-0.01, -0.02, (0.003, 0.004)) == (
        "lost 1.0 ± 0.3 points of speciality and gained 2.0 ± 0.4 of generality"
    )


def test_recovered_is_told_with_what_is_known_of_it() -> None:
    found = Recovered(value=0.834, hypervolume=0.012, box=0.0144)
    undefined = Recovered(value=None, hypervolume=0.00123, box=0.0, reason="nothing")
    doubtful = Interval(low=None, high=None, empty_share=0.1, reason="empty")
    assert format_recovered(found) == "0.83"
    assert format_recovered(found, Interval(low=0.71, high=0.949, empty_share=0.0)) == "0.83 [0.71, 0.95]"
    assert format_recovered(found, doubtful) == "0.83 [undefined]"
    assert format_recovered(undefined) == "(12.3 pp²)"
    assert format_recovered(None) == "—"


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_of_a_sweep_has_a_reading(kind: str) -> None:
    summary = make_summary(kind)
    lines = read(summary)
    assert len(lines) == 3
    assert all(line.endswith(".") for line in lines)
    assert not any(word in line for word in ("None", "nan") for line in (*lines, *footnotes(summary)))
    assert ("test" in lines[0]) == (kind in ("full", "no bootstrap", "half tested"))


def test_the_picked_point_keeps_the_budget_on_val_and_is_told_on_test() -> None:
    summary = make_summary("full")
    picked = pick_point(summary)
    assert picked is not None
    point, theta_0 = summary.points[picked.index], summary.theta_0
    assert theta_0.val.generality - point.generality <= 0.01 + 1e-9
    assert picked.split == "test"
    assert picked.gain == summary.test[picked.index].speciality - theta_0.test.speciality
    within = [p for p in summary.points if theta_0.val.generality - p.generality <= 0.01]
    assert point.speciality == max(p.speciality for p in within)


def test_nothing_is_picked_where_nothing_beats_theta_0() -> None:
    assert pick_point(make_summary("theta_0 alone")) is None


def test_unequal_numbers_of_trainings_are_pointed_out() -> None:
    summary = make_summary("full")
    assert any("at 1 training each" in note for note in footnotes(summary))  # one of full's two has failed
    equal = tuple(dataclasses.replace(m, trainings=4, failed=0) for m in summary.methods)
    assert any("at 4 trainings each" in note for note in footnotes(dataclasses.replace(summary, methods=equal)))
    first, *rest = equal
    lost = (dataclasses.replace(first, trainings=3, failed=1), *rest)
    (note,) = [n for n in footnotes(dataclasses.replace(summary, methods=lost)) if n.startswith("methods")]
    assert "from 3 to 4 trainings with points, failed ones not counted" in note


def test_what_is_missing_is_said() -> None:
    assert any("test is not scored yet" in note for note in footnotes(make_summary("no test")))
    assert any("not every chosen point is scored on test" in note for note in footnotes(make_summary("half tested")))
    assert not any(note.startswith("—") for note in footnotes(make_summary("full")))


def test_scores_that_are_not_all_accuracies_are_told_by_their_words() -> None:
    summary = make_summary("full")
    assert not any(note.startswith("scores:") for note in footnotes(summary))
    first, *rest = summary.roles
    roles = (dataclasses.replace(first, metric="balanced accuracy"), *rest)
    (note,) = [n for n in footnotes(dataclasses.replace(summary, roles=roles)) if n.startswith("scores:")]
    assert note.startswith("scores: balanced accuracy of photo; accuracy of art_painting, ")


def test_one_training_tells_its_interval_its_coverage_and_what_it_does_not_know() -> None:
    summary = make_summary("full")
    one = OneTraining(mean=0.71, recipes=4, interval=Interval(low=0.349, high=1.08, empty_share=0.0))
    methods = tuple(dataclasses.replace(m, trainings=4, one_alone=one, one_curve=one) for m in summary.methods)
    four = dataclasses.replace(summary, methods=methods)
    assert one_training_rows(four)[0] == ["full", "4", "0.71 [0.35, 1.08]", "0.71 [0.35, 1.08]"]
    told = f"{100 * MEASURED_COVERAGE[4]:.0f} % of them held the truth at 4 trainings"
    assert any(told in note for note in footnotes(four))
    assert any("a sampler chose" in note for note in footnotes(four))
    eight = tuple(dataclasses.replace(method, trainings=8) for method in methods)
    assert one_training_rows(dataclasses.replace(summary, methods=eight))[0][1] == "8 (4 recipes)"
    assert one_training_rows(make_summary("no plain")) == []
