"""Several paths in a frontier: all of them are on it, methods are compared on the lerp, and a path by what it adds."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from synthetic_paths import LINES, with_paths
from synthetic_sweep import ALPHAS, ROLES, make_records

from rayforget.frontier.choose import choose_by_method, choose_by_path, choose_frontier, points_to_report
from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.hypervolume import hypervolume
from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import FrontierPoint, PointKey
from rayforget.frontier.summary import Summary
from rayforget.space.path_text import LERP
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score


@cache
def sweep() -> tuple[list[CheckpointRecord], dict[PointKey, Mapping[str, Score]]]:
    return with_paths(*make_records(trials=7, fractions=(1.0,)))


def summary_of(records: list[CheckpointRecord], test: Mapping[PointKey, Mapping[str, Score]]) -> Summary:
    found = gather(records, ROLES)
    return summarise(
        found.points, ROLES, val=found.val, test=test, name="s", seed=0, num_resamples=50, failed=found.failed
    )


@cache
def points() -> tuple[FrontierPoint, ...]:
    return gather(sweep()[0], ROLES).points


def test_the_frontier_is_of_all_points_of_all_paths() -> None:
    values = np.array([(point.speciality, point.generality) for point in points()])
    on_it = {tuple(pair) for pair in values[nondominated(values)]}
    chosen = [points()[i] for i in choose_frontier(points())]
    assert {(point.speciality, point.generality) for point in chosen} == on_it
    assert len({point.path for point in chosen}) > 1


def test_methods_are_compared_on_the_lerp_alone() -> None:
    alone = gather(make_records(trials=7, fractions=(1.0,))[0], ROLES).points
    mixed = points()
    for before, after in zip(choose_by_method(alone), choose_by_method(mixed), strict=True):
        for chosen, beside in ((before.alpha_1, after.alpha_1), (before.curve, after.curve)):
            assert [alone[i].key for i in chosen] == [mixed[i].key for i in beside]
        assert before.trainings == after.trainings


def test_a_path_stands_alone_and_beside_the_lerp_at_equal_numbers_of_models() -> None:
    found = {choice.path: choice for choice in choose_by_path(points())}
    assert list(found) == [LERP, *LINES, "blocks"]
    trained = {point.trial for point in points()} - {"theta_0"}
    assert {found[path].models for path in (LERP, *LINES)} == {len(trained) * (len(ALPHAS) - 1)}
    assert found["blocks"].models == 3 * len(trained)
    assert found["blocks"].searched
    assert found[LERP].alone == found[LERP].with_lerp == choose_by_method(points())[-1].curve
    for path, choice in found.items():
        of_path = [point for point in points() if point.path.startswith(path) and (point.coarse or choice.searched)]
        of_path = [point for point in of_path if point.method != "theta_0" and point.alpha != 0]
        lerp = [p for p in points() if p.path == LERP and p.coarse and p.method != "theta_0" and p.alpha != 0]
        for chosen, among in ((choice.alone, of_path), (choice.with_lerp, [*of_path, *lerp])):
            values = np.array([(point.speciality, point.generality) for point in among])
            expected = {tuple(pair) for pair in values[nondominated(values)]}
            assert {(points()[i].speciality, points()[i].generality) for i in chosen} == expected


def test_without_another_path_nothing_is_said_of_paths() -> None:
    records, test = make_records(trials=7, fractions=(1.0,))
    assert choose_by_path(gather(records, ROLES).points) == ()
    assert summary_of(records, test).paths == ()


def test_what_a_path_adds_is_recovered_on_test_by_brute_force() -> None:
    summary = summary_of(*sweep())
    assert summary.plain is not None
    assert summary.plain.test is not None
    assert summary.theta_0.test is not None
    by_path = {path.path: path for path in summary.paths}
    assert by_path[LERP].alone.test == summary.together.curve.test
    corner = (summary.theta_0.test.speciality, summary.plain.test.generality)
    gain, loss = summary.plain.test.speciality - corner[0], summary.theta_0.test.generality - corner[1]
    for path in summary.paths:
        for found in (path.alone, path.with_lerp):
            pairs = np.array([summary.test[i].pair for i in found.chosen])
            assert found.test is not None
            assert found.test.value == pytest.approx(hypervolume(pairs, corner) / (gain * loss))
            assert found.untested == 0
        assert path.with_lerp.val is not None
        assert path.alone.val is not None
        assert by_path[LERP].alone.val is not None
        assert path.with_lerp.val.hypervolume >= max(path.alone.val.hypervolume, by_path[LERP].alone.val.hypervolume)


def test_the_report_asks_for_every_paths_points_on_test() -> None:
    wanted = set(points_to_report(points()))
    for choice in choose_by_path(points()):
        assert {*choice.alone, *choice.with_lerp} <= wanted


def test_equal_points_belong_to_the_lerp() -> None:
    twin = next(point for point in points() if point.path == LERP and point.alpha == 0.5 and point.method == "full")
    copies = [replace(twin, path=path, alpha=0.1) for path in ("blocks(leads=[0,1])", "lines(gamma=0)")]
    chosen = choose_frontier([*copies, twin])
    assert [[*copies, twin][i].path for i in chosen] == [LERP]


def test_the_order_of_points_with_paths_changes_nothing() -> None:
    records, test = sweep()
    mixed = [replace(record, points=record.points[::-1]) for record in records[::-1]]
    first, second = summary_of(records, test), summary_of(mixed, test)
    assert first.points == second.points
    assert first.paths == second.paths
    assert first.recovery == second.recovery
