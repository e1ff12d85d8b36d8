"""Curves along several paths: what shares a pass, what is one point, how the lerp stays, and what is restored."""

from pathlib import Path
from typing import Any

import pytest
import torch
from train.learners import VectorLearner
from vector_equipment import no_heartbeat, vector_equipment, vector_recipe

from rayforget.errors import FoundationError
from rayforget.foundations.protocol import State
from rayforget.frontier.gather import gather
from rayforget.interpolate.hashing import state_hash
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.weights import load_theta_1
from rayforget.space.path_text import LERP, path_name
from rayforget.trial.alpha_models import Ends, theta_of
from rayforget.trial.curve import score_curve
from rayforget.trial.pipeline import run_trial, score_tests
from rayforget.values.layers import Layer
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord

COARSE = [0, 0.5, 1]
LAYERS = {name: Layer(index=int(name.startswith("out_proj")), count=2) for name in VectorLearner().module.state_dict()}
LINES = {"lerp": {}, "lines": {"gamma": {"grid": [0, 0.5]}}}
SEARCHED = {"lerp": {}, "lines": {"gamma": {"low": 0, "high": 1}, "search": {"evaluations": 5}}}


def run(
    root: Path, *, alpha: float = 0.3, refine: int = 0, rate: float = 1e-2, **curve: Any
) -> tuple[Any, CheckpointRecord]:
    equipment = vector_equipment(root, curve={"coarse": COARSE, "refine": refine, **curve})
    job = TrialJob(name="0001-full", recipe=vector_recipe(learning_rate=rate), alpha=alpha)
    equipment.foundation.layers = lambda recipe: LAYERS  # type: ignore[method-assign]
    (record,) = run_trial(job, equipment, no_heartbeat)
    return equipment, record


def test_all_paths_share_a_pass_theta_0_is_one_point_and_the_asked_alpha_is_the_lerps(tmp_path: Path) -> None:
    equipment, record = run(tmp_path, paths=LINES)
    assert [(point.path, point.alpha, point.coarse) for point in record.points] == [
        ("lerp", 0.0, True), ("lerp", 0.3, False), ("lerp", 0.5, True), ("lerp", 1.0, True),
        ("lines(gamma=0)", 0.5, True), ("lines(gamma=0)", 1.0, True),
        ("lines(gamma=0.5)", 0.5, True), ("lines(gamma=0.5)", 1.0, True),
    ]  # fmt: skip
    assert equipment.foundation.scorer(None).asked == [7, 1]  # one pass for all but theta_0, which has its own


@pytest.mark.parametrize("paths", [LINES, SEARCHED])
def test_the_lerps_points_are_those_of_a_sweep_without_other_paths(tmp_path: Path, paths: dict[str, Any]) -> None:
    _, alone = run(tmp_path / "alone")
    _, beside = run(tmp_path / "beside", paths=paths)
    found = {point.alpha: point for point in beside.points if point.path == LERP}
    assert found.keys() == {point.alpha for point in alone.points}
    for point in alone.points:
        for task, score in point.scores.items():
            assert (found[point.alpha].scores[task].items == score.items).all()


def test_paths_that_are_the_lerp_score_as_the_lerp(tmp_path: Path) -> None:
    paths = {"lerp": {}, "lines": {"gamma": 1}, "blocks": {"leads": [0.5, 0.5]}}
    _, record = run(tmp_path, paths=paths, rate=0.1)
    by_path: dict[str, dict[float, Any]] = {}
    for point in record.points:
        by_path.setdefault(path_name(point.path), {})[point.alpha] = point.scores
    assert by_path.keys() == {"lerp", "lines", "blocks"}
    for alpha in (0.5, 1.0):
        for task in ("s", "g"):
            same = [(by_path[path][alpha][task].items == by_path["lerp"][alpha][task].items).all() for path in by_path]
            assert all(same)


@pytest.mark.parametrize("refine", [0, 1, 3])
def test_refinement_is_shared_by_all_paths(tmp_path: Path, refine: int) -> None:
    _, record = run(tmp_path, refine=refine, paths=LINES, rate=0.1, alpha=1.0)
    assert sum(not point.coarse for point in record.points) <= refine
    assert len({point.spot for point in record.points}) == len(record.points)


def test_an_inner_search_spends_its_budget_and_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    equipment, record = run(tmp_path / "a", paths=SEARCHED)
    searched = [point for point in record.points if point.path != LERP]
    assert len(searched) == 5
    assert not any(point.coarse for point in searched)
    assert all(0 < point.alpha <= 1 for point in searched)
    assert equipment.foundation.scorer(None).asked == [
        6,
        1,
        2,
    ]  # the lerp's 3 and the first round of 3, theta_0, the rest
    _, again = run(tmp_path / "b", paths=SEARCHED)
    assert [point.spot for point in again.points] == [point.spot for point in record.points]


def test_every_point_is_rebuilt_from_its_record_to_the_bit(tmp_path: Path) -> None:
    paths = {**LINES, "blocks": {"leads": [0, {"low": 0, "high": 1}], "search": {"evaluations": 4}}}
    equipment, record = run(tmp_path, paths=paths, rate=0.1)
    seen: dict[Spot, str] = {}
    scorer = equipment.foundation.scorer(None)
    recorded = equipment.sweep.record(record.trial, record.step)
    theta_0 = equipment.foundation.theta_0
    theta_1 = load_theta_1(equipment.sweep.store, recorded, theta_0)
    ends = Ends(theta_0=theta_0, theta_1=theta_1, layers=equipment.foundation.layers(vector_recipe()))
    for point in recorded.points[1:]:
        theta: State = theta_of(ends, point.spot)
        seen[point.spot] = state_hash(theta)
        for task, score in scorer.score([theta], "val")[0].items():
            assert (score.items == point.scores[task].items).all()
    assert len(set(seen.values())) > len(recorded.points) // 2


def test_points_of_any_path_are_scored_on_test_in_one_pass_and_once(tmp_path: Path) -> None:
    equipment, record = run(tmp_path, paths=LINES)
    spots = (Spot(0.5), Spot(0.5, "lines(gamma=0)"), Spot(1.0, "lines(gamma=0.5)"))
    equipment.foundation.scorer(None).asked.clear()
    job = TestJob(trial=record.trial, step=record.step, spots=spots)
    assert score_tests([job], equipment, no_heartbeat) == 3
    assert equipment.foundation.scorer(None).asked == [3]
    assert score_tests([job], equipment, no_heartbeat) == 0
    assert {key[2:] for key in equipment.sweep.test_scores()} == set(spots)
    known = {point.key for point in gather([record], equipment.roles).points}
    assert equipment.sweep.test_scores().keys() <= known


def test_a_path_that_does_not_fit_the_model_fails_with_the_reason(tmp_path: Path) -> None:
    _, record = run(tmp_path, paths={"lerp": {}, "blocks": {"leads": [0, 0, 0]}})
    assert record.status == "failed"
    assert "write at most 2 leads" in (record.reason or "")


def test_a_spot_without_scores_is_dropped_with_its_path(tmp_path: Path) -> None:
    equipment = vector_equipment(
        tmp_path, curve={"coarse": [0, 1, 1e30], "refine": 0, "paths": {"lerp": {}, "lines": {"gamma": 0.5}}}
    )
    ends = Ends(
        theta_0=dict(equipment.foundation.theta_0),
        theta_1={name: tensor + 0.1 for name, tensor in equipment.foundation.theta_0.items()},
        layers=equipment.foundation.layers(vector_recipe()),
    )
    curve = score_curve(
        ends, asked=None, frontier=(), scorer=equipment.foundation.scorer(None), equipment=equipment, seed=0
    )
    tasks = {"s": 23, "g": 31}
    assert curve.facts["dropped_alphas"] == [
        {"alpha": 1e30, "tasks": tasks},
        {"alpha": 1e30, "path": "lines(gamma=0.5)", "tasks": tasks},
    ]


def test_a_path_sees_the_layers_of_the_model(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    layers = equipment.foundation.layers(vector_recipe())
    theta_0 = equipment.foundation.theta_0
    ends = Ends(theta_0=theta_0, theta_1={name: tensor + 1 for name, tensor in theta_0.items()}, layers=layers)
    theta = theta_of(ends, Spot(0.5, "lines(gamma=0.2)"))
    for name, tensor in theta_0.items():
        share = 0.5 * (0.2 + 0.8 * layers[name].depth)
        torch.testing.assert_close(theta[name], tensor + share)
    with pytest.raises(FoundationError, match="at most"):
        theta_of(ends, Spot(0.5, "blocks(leads=[0,0,0,0,0,0,0,0.5])"))
