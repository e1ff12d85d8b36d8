import dataclasses

import golden_text
import pytest
from summaries import full_of_remarks, make_summary, summarise_records
from synthetic_sweep import make_records

from rayforget.frontier.intervals import MEASURED_COVERAGE, Interval
from rayforget.frontier.recovered import Recovered
from rayforget.frontier.summary import OneTraining
from rayforget.report.terminal.one_training import one_training_rows
from rayforget.report.words.footnotes import footnotes
from rayforget.report.words.numbers import describe_change, format_recovered, headline_pick, percent, read


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


def test_the_picked_point_keeps_the_budget_on_val_and_is_told_on_test() -> None:
    summary = make_summary("full")
    picked = headline_pick(summary)
    assert picked is not None
    point, theta_0 = summary.points[picked.index], summary.theta_0
    assert theta_0.val.generality - point.generality <= 0.01 + 1e-9
    assert picked.split == "test"
    assert picked.gain == summary.test[picked.index].speciality - theta_0.test.speciality
    within = [p for p in summary.points if theta_0.val.generality - p.generality <= 0.01]
    assert point.speciality == max(p.speciality for p in within)


def test_nothing_is_picked_where_nothing_beats_theta_0() -> None:
    assert headline_pick(make_summary("theta_0 alone")) is None


def test_footnotes_tell_what_is_special_of_a_sweep() -> None:
    summary = make_summary("full")
    one = OneTraining(mean=0.71, recipes=4, interval=Interval(low=0.349, high=1.08, empty_share=0.0))
    equal, known, seeds = (
        tuple(dataclasses.replace(method, failed=0, **changes) for method in summary.methods)
        for changes in (
            {"trainings": 4},
            {"trainings": 4, "one_alone": one, "one_curve": one},
            {"trainings": 8, "one_alone": one, "one_curve": one},
        )
    )
    lost = (dataclasses.replace(equal[0], trainings=3, failed=1), *equal[1:])
    variants = {
        "equal numbers of trainings": dataclasses.replace(summary, methods=equal),
        "one training failed": dataclasses.replace(summary, methods=lost),
        "intervals of one training": dataclasses.replace(summary, methods=known),
        "two seeds of each recipe": dataclasses.replace(summary, methods=seeds),
        "a metric, halves and broken images": full_of_remarks(summary),
    }
    told = []
    for name, variant in variants.items():
        told += [f"\n{name}:", *(f"  {note}" for note in footnotes(variant) if note not in footnotes(summary))]
    golden_text.check("reports", "footnotes that a full sweep does not have", "\n".join(told))
    assert one_training_rows(variants["intervals of one training"])[0] == ["full", "4", *["0.71 [0.35, 1.08]"] * 2]
    assert one_training_rows(variants["two seeds of each recipe"])[0][1] == "8 (4 recipes)"
    assert one_training_rows(make_summary("no plain")) == []
    dependent, independent = (
        footnotes(dataclasses.replace(variants["intervals of one training"], adaptive=adaptive))
        for adaptive in (True, False)
    )
    assert [note for note in dependent if note not in independent] == [
        "one training: recipes that a sampler chose after others are not independent draws; the mean is then that of "
        "its choices, and the interval too narrow"
    ]
    coverage = f"{100 * MEASURED_COVERAGE[4]:.0f} % of them held the truth at 4 trainings"
    assert any(coverage in note for note in footnotes(variants["intervals of one training"]))


def test_a_baseline_that_failed_is_not_said_to_be_still_to_come() -> None:
    records, _ = make_records(trials=7)
    reason = "TrainingError: the loss is not finite\n\nTraceback"
    failed = [
        dataclasses.replace(record, step=0, fraction=0.0, status="failed", reason=reason, points=())
        if record.recipe.get("method") == "plain"
        else record
        for record in records
    ]
    summary = summarise_records(failed, {}, num_resamples=0)
    cost, _, recovered = read(summary)
    assert cost == (
        "No plain fine-tuning has succeeded, so nothing can be said of what it cost: "
        "TrainingError: the loss is not finite"
    )
    assert recovered == "What the frontier recovers cannot be said without a plain fine-tuning that succeeds."
    some = summarise_records([*failed, *records[1:3]], {}, num_resamples=0)
    assert some.plain is not None
    assert "failed" not in read(some)[0]
