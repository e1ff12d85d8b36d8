import dataclasses
import random

import numpy as np
import pytest
from synthetic_sweep import ROLES, make_records

from rayforget.errors import RecordError
from rayforget.frontier.choose import points_to_report
from rayforget.frontier.compare import recover, summarise
from rayforget.frontier.each_training import points_to_compare
from rayforget.frontier.gather import gather
from rayforget.frontier.hypervolume import hypervolume
from rayforget.frontier.points import PointKey
from rayforget.frontier.summary import Summary

RECORDS, TEST = make_records(trials=7, fractions=(1.0,))
GATHERED = gather(RECORDS, ROLES)


def summary_of(**changes: object) -> Summary:
    given = {"val": GATHERED.val, "test": TEST, "name": "s", "seed": 0, "num_resamples": 200, "failed": GATHERED.failed}
    return summarise(changes.pop("points", GATHERED.points), ROLES, **{**given, **changes})


SUMMARY = summary_of()


def test_recovered_on_test_is_by_hand_what_the_val_frontier_scores_there() -> None:
    val = {key: {t: s.items.mean() for t, s in scores.items()} for key, scores in GATHERED.val.items()}
    test = {key: {t: s.items.mean() for t, s in scores.items()} for key, scores in TEST.items()}

    def pair(values: dict[str, float]) -> tuple[float, float]:
        distribution = np.mean([values[task] for task in ("art_painting", "cartoon", "sketch")])
        return values["photo"], float(distribution + values["counting"]) / 2

    on_val = {key: pair(values) for key, values in val.items() if key[2] != 0 or key[0] == "theta_0"}
    front = [
        key
        for key, (s, g) in sorted(on_val.items())
        if not any(other != (s, g) and other[0] >= s and other[1] >= g for other in on_val.values())
    ]
    theta_0 = pair(test[PointKey("theta_0", 0, 0.0)])
    plain = np.mean([pair(test[PointKey(f"plain-{seed}", 80, 1.0)]) for seed in range(3)], axis=0)
    area = hypervolume(np.array([pair(test[key]) for key in front]), (theta_0[0], float(plain[1])))
    expected = area / ((plain[0] - theta_0[0]) * (theta_0[1] - plain[1]))
    assert SUMMARY.recovery.test is not None
    assert SUMMARY.recovery.test.value == pytest.approx(expected, rel=1e-9)  # scores are rounded to 12 decimals


def test_val_is_optimistic_only_in_its_scores_not_in_its_points() -> None:
    chosen = [SUMMARY.points[i].key for i in SUMMARY.frontier]
    assert chosen == [summary_of(test={}).points[i].key for i in SUMMARY.frontier]
    assert SUMMARY.recovery.chosen == SUMMARY.frontier


def test_summary_does_not_depend_on_the_order_of_its_input() -> None:
    points = random.Random(1).sample(GATHERED.points, len(GATHERED.points))
    val = dict(random.Random(2).sample(sorted(GATHERED.val.items()), len(GATHERED.val)))
    assert summary_of(points=points, val=val) == SUMMARY


def test_intervals_hold_their_estimates() -> None:
    for recovery in (SUMMARY.recovery, SUMMARY.together.alpha_1, SUMMARY.together.curve):
        assert recovery.test is not None
        assert recovery.test.value is not None
        assert recovery.interval is not None
        assert recovery.interval.low is not None
        assert recovery.interval.high is not None
        assert recovery.interval.low <= recovery.test.value <= recovery.interval.high


def test_methods_are_compared_by_what_one_training_recovers_and_by_no_interval_of_a_frontier() -> None:
    for method in SUMMARY.methods:
        assert (method.alpha_1.interval, method.curve.interval) == (None, None)
        for one, together in ((method.one_alone, method.alpha_1), (method.one_curve, method.curve)):
            if not method.trainings:
                assert one is None
                continue
            assert one is not None
            assert one.recipes == method.trainings
            assert one.mean <= together.val.value + 1e-12  # all trainings together dominate each of them
            assert one.mean == pytest.approx(together.val.value) or method.trainings > 1
            assert (one.interval is None) == (method.trainings == 1)
            if one.interval is not None:
                assert one.interval.low <= one.mean <= one.interval.high
    assert (SUMMARY.together.one_alone, SUMMARY.together.one_curve) == (None, None)


def test_one_trainings_mean_is_by_hand_the_mean_of_each_trainings_own_area() -> None:
    plain = next(method for method in SUMMARY.methods if method.method == "plain")
    corner = (SUMMARY.theta_0.val.speciality, SUMMARY.plain.val.generality)
    box = (SUMMARY.plain.val.speciality - corner[0]) * (SUMMARY.theta_0.val.generality - corner[1])
    areas = []
    for seed in range(3):
        own = [point for point in SUMMARY.points if point.trial == f"plain-{seed}" and point.coarse]
        areas.append(hypervolume(np.array([(p.speciality, p.generality) for p in own if p.alpha > 0]), corner))
    assert plain.one_curve.mean == pytest.approx(np.mean(areas) / box)


def test_more_points_never_recover_less_on_val() -> None:
    for method in (*SUMMARY.methods, SUMMARY.together):
        if method.trainings:
            assert method.curve.val.value >= method.alpha_1.val.value
            assert SUMMARY.together.curve.val.value >= method.curve.val.value
    assert SUMMARY.recovery.val.value >= SUMMARY.together.curve.val.value


def test_plain_is_the_mean_of_its_seeds_and_theta_0_has_no_difference_to_itself() -> None:
    assert SUMMARY.plain is not None
    seeds = [SUMMARY.points[i] for i in SUMMARY.plain.points]
    assert len(seeds) == 3
    assert SUMMARY.plain.val.speciality == pytest.approx(np.mean([point.speciality for point in seeds]))
    assert SUMMARY.plain.spread_val is not None
    assert SUMMARY.plain.spread_val[1] == pytest.approx(np.std([point.generality for point in seeds], ddof=1))
    assert SUMMARY.theta_0.val.difference_errors == (0.0, 0.0)
    assert SUMMARY.plain.val.difference_errors is not None
    assert SUMMARY.plain.val.difference_errors[0] < SUMMARY.plain.val.speciality_error


def test_a_failed_training_is_counted_with_its_method() -> None:
    assert GATHERED.failed == {"full": 1}
    lost = summary_of(failed={"never": 2})
    assert {m.method: (m.trainings, m.failed) for m in lost.methods}["never"] == (0, 2)
    assert [m.method for m in lost.methods] == [*sorted(m.method for m in lost.methods[:-1]), "plain"]


def test_without_test_scores_val_stands_alone() -> None:
    summary = summary_of(test={})
    assert summary.split == "val"
    assert summary.recovery.val == SUMMARY.recovery.val
    assert (summary.recovery.test, summary.recovery.interval, summary.theta_0.test) == (None, None, None)
    assert summary.recovery.untested == len(summary.frontier)


def test_a_missing_test_score_leaves_out_what_needs_it_and_nothing_else() -> None:
    alone = next(m for m in SUMMARY.methods if set(m.alpha_1.chosen) - set(SUMMARY.frontier))
    index = next(i for i in alone.alpha_1.chosen if i not in SUMMARY.frontier)
    summary = summary_of(test={key: s for key, s in TEST.items() if key != SUMMARY.points[index].key})
    again = next(m for m in summary.methods if m.method == alone.method)
    assert (again.alpha_1.test, again.alpha_1.untested) == (None, 1)
    assert summary.recovery.test == SUMMARY.recovery.test


def test_the_points_to_compare_on_val_and_to_report_on_test_suffice() -> None:
    points = sorted(GATHERED.points, key=lambda point: point.key)
    compared, reported = ({points[i].key for i in wanted(points)} for wanted in (points_to_compare, points_to_report))
    assert reported < compared
    val = {key: scores for key, scores in GATHERED.val.items() if key in compared}
    test = {key: scores for key, scores in TEST.items() if key in reported}
    summary = summary_of(val=val, test=test)
    assert dataclasses.replace(summary, test=SUMMARY.test) == SUMMARY


def test_without_plain_fine_tuning_nothing_is_recovered_yet() -> None:
    summary = summary_of(points=[p for p in GATHERED.points if p.method != "plain"], test={})
    assert summary.plain is None
    assert (summary.recovery.val, summary.together.curve.val) == (None, None)
    assert summary.frontier


def test_theta_0_alone_is_a_summary() -> None:
    summary = summary_of(points=[p for p in GATHERED.points if p.method == "theta_0"], test={}, failed=None)
    assert (summary.frontier, summary.methods, summary.together.trainings) == ((0,), (), 0)


def test_no_resamples_give_no_errors() -> None:
    summary = summary_of(num_resamples=0)
    assert summary.recovery.test == SUMMARY.recovery.test
    assert (summary.recovery.interval, summary.val[summary.frontier[0]].speciality_error) == (None, None)


def test_one_item_per_task_is_enough() -> None:
    records, test = make_records(trials=1, scale=0.0, failures=0)
    found = gather(records, ROLES)
    summary = summarise(found.points, ROLES, val=found.val, test=test, name="s", seed=0, num_resamples=20)
    assert summary.recovery.val is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": [p for p in GATHERED.points if p.method != "theta_0"]}, "expected one point of theta_0, found 0"),
        ({"points": [*GATHERED.points, GATHERED.points[-1]]}, "repeat a"),
        ({"val": {}}, "have no val scores"),
        ({"test": {PointKey("nobody", 1, 0.5): {}}}, "have test scores but no point"),
        ({"test": {PointKey("theta_0", 0, 0.0): {}}}, "no test score for task photo"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        summary_of(**changes)


@pytest.mark.parametrize("together", [1, 3, 7])
def test_a_summary_is_the_same_however_few_points_items_are_in_memory_at_once(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rayforget.frontier.measured._TOGETHER", together)
    assert summary_of() == SUMMARY


def test_points_on_other_items_are_refused_in_whatever_lot_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayforget.frontier.measured._TOGETHER", 1)
    last = max(GATHERED.points[i].key for i in points_to_compare(GATHERED.points))
    strange = {task: dataclasses.replace(score, items_hash="other") for task, score in GATHERED.val[last].items()}
    with pytest.raises(RecordError, match="paired errors need the same items"):
        summary_of(val={**GATHERED.val, last: strange})


@pytest.mark.parametrize("num_resamples", [0, 200])
@pytest.mark.parametrize("tested", [0, 3, len(TEST)])
def test_what_is_recovered_alone_is_what_the_summary_says(num_resamples: int, tested: int) -> None:
    test = dict(list(TEST.items())[:tested])
    given = {"val": GATHERED.val, "test": test, "seed": 0, "num_resamples": num_resamples}
    alone, summary = recover(GATHERED.points, ROLES, **given), summary_of(**given)
    chosen = [GATHERED.points[i].key for i in points_to_report(GATHERED.points)]
    assert [chosen[i] for i in alone.chosen] == [summary.points[i].key for i in summary.recovery.chosen]
    assert dataclasses.replace(alone, chosen=summary.recovery.chosen) == summary.recovery
