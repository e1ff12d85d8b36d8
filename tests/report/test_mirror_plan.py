"""The planned runs match the record, under names that MLflow takes."""

import math
import re
from dataclasses import replace

import pytest
import summaries
from synthetic_sweep import ROLES

from rayforget.frontier.gather import gather
from rayforget.frontier.points import FrontierPoint, parse_key
from rayforget.report.mlflow.mirror_names import flatten_recipe, safe_name
from rayforget.report.mlflow.mirror_plan import RunPlan, SweepView, plan_runs
from rayforget.report.mlflow.shown_points import MAX_POINTS, shown_points


def make_view(**changes) -> SweepView:
    return summaries.make_view(
        trials=4, **{"series": {"val/hypervolume": [(1, 0.0), (2, 0.01), (99, 0.02)]}, **changes}
    )


def by_kind(runs: list[RunPlan], kind: str) -> list[RunPlan]:
    return [run for run in runs if run.kind == kind]


def series(run: RunPlan, name: str) -> dict[int, float]:
    return {metric.step: metric.value for metric in run.metrics if metric.name == name}


def test_there_is_a_run_for_each_trial_and_each_shown_point_and_parents_come_first():
    view = make_view()
    runs = plan_runs(view)
    assert view.frontier is not None
    assert [run.key for run in by_kind(runs, "sweep")] == ["tiny-1"]
    assert len(by_kind(runs, "trial")) == len({record.trial for record in view.records})
    points = by_kind(runs, "point")
    assert {parse_key(run.name) for run in points if run.place == "frontier"} == set(view.frontier)
    assert {run.parent for run in points} == {"tiny-1"}
    seen: set[str | None] = {None}
    for run in runs:
        assert run.parent in seen
        assert run.key not in seen
        seen.add(run.key)


def test_beside_the_frontier_stand_the_baselines_and_the_trainings_without_interpolation():
    view = make_view()
    assert view.frontier is not None
    own = {run.name: run for run in by_kind(plan_runs(view), "point")}
    values = {point.key.text: point for point in view.points}
    ends = {text for text, point in values.items() if point.fraction == 1 and point.alpha == 1}
    rest = own.keys() - {key.text for key in view.frontier}
    assert rest == (ends | {"theta_0/0/lerp/0.0"}) - {key.text for key in view.frontier}
    assert {own[text].place for text in rest if values[text].method in ("plain", "theta_0")} == {"baseline"}
    assert {own[text].place for text in rest if values[text].method not in ("plain", "theta_0")} == {"training"}
    colors = {run.place: run.tags["mlflow.runColor"] for run in own.values()}
    assert len(set(colors.values())) == 3
    assert all(run.tags["place"] == run.place for run in own.values())


def test_the_picked_point_is_marked():
    view = make_view()
    assert view.frontier is not None
    points = by_kind(plan_runs(replace(view, picked=view.frontier[1])), "point")
    assert [run.name for run in points if run.tags["picked"] == "true"] == [view.frontier[1].text]


def test_a_renamed_sweep_keeps_its_keys_and_shows_its_new_name():
    before, after = plan_runs(make_view()), plan_runs(make_view(name="renamed"))
    assert [run.key for run in before] == [run.key for run in after]
    assert [run.name for run in after][:1] == ["renamed"]


def test_curves_are_series_over_a_thousand_alphas_and_earlier_checkpoints_have_their_own():
    view = make_view()
    values = {point.key: point for point in view.points}
    record = view.records[-2]
    run = next(run for run in plan_runs(view) if run.key == f"tiny-1/{record.trial}")
    for stage, step in (("val", 80), ("val_0.5", 40)):
        for name in ("speciality", "generality"):
            expected = {
                round(1000 * alpha): getattr(point, name)
                for (trial, at, alpha, _), point in values.items()
                if (trial, at) == (record.trial, step)
            }
            assert series(run, f"{stage}/{name}") == expected
        assert len(series(run, f"{stage}/generality/sketch/accuracy")) == len(expected)
        assert all(step == round(1000 * alpha) for step, alpha in series(run, f"{stage}/alpha").items())


def test_points_repeat_their_trials_params_and_have_alpha_among_them_and_scores_alone_as_metrics():
    runs = plan_runs(make_view())
    trials = {run.name: run for run in by_kind(runs, "trial")}
    for run in by_kind(runs, "point"):
        trial = trials[run.tags["trial"]]
        assert run.params.items() >= trial.params.items()
        assert f"[{trial.name}](run:{trial.key})" in run.tags["mlflow.note.content"]
        assert float(run.params["alpha"]) == next(p.alpha for p in make_view().points if p.key.text == run.name)
        assert {metric.name.partition("/")[0] for metric in run.metrics} <= {"val", "test"}
        assert run.tags["superseded"] == "false"


def test_test_scores_are_shown_where_the_report_has_them():
    view = make_view()
    assert view.frontier is not None
    key = view.frontier[-1]
    runs = by_kind(plan_runs(replace(view, test={key: (0.5, 0.25)})), "point")
    found = [(series(run, "test/speciality"), series(run, "test/generality")) for run in runs]
    assert found.count(({0: 0.5}, {0: 0.25})) == 1
    assert found.count(({}, {})) == len(runs) - 1


def test_a_failed_trial_says_why():
    failed = [run for run in plan_runs(make_view()) if run.status == "FAILED"]
    assert [run.tags["mlflow.note.content"] for run in failed] == ["loss is nan"]
    assert not [metric for metric in failed[0].metrics if metric.name.startswith("val")]


def test_a_running_sweep_has_no_end_and_a_trial_runs_until_its_last_checkpoint():
    view = make_view()
    first = [record for record in view.records if record.fraction < 1]
    points = gather(first, ROLES).points
    for running, status in ((True, "RUNNING"), (False, "FINISHED")):
        half = replace(view, running=running, records=first, points=points, frontier=None)
        sweep, *trials = plan_runs(half)
        assert (sweep.status, sweep.end_ms is None) == (status, running)
        assert {run.status for run in trials if run.name.startswith("plain")} == {status}
        assert not by_kind(trials, "point")


def test_values_of_a_series_are_dated_by_the_trial_that_completed_them():
    view = make_view()
    ends = sorted({record.trial: record.finished for record in view.records}.values())
    times = {metric.step: metric.time_ms for metric in plan_runs(view)[0].metrics}
    assert times == {1: 1000 * ends[0], 2: 1000 * ends[1], 99: 1000 * ends[-1]}


@pytest.mark.parametrize("count", [1, 92, 93, 94, 95, 96, 97, 1000])
def test_at_most_a_hundred_points_and_both_ends_of_the_frontier_and_all_baselines_among_them(count):
    view = make_view()
    template = view.points[-1]
    middle = [i / 1001 for i in range(1, count + 1)]
    frontier = [replace(template, alpha=a, speciality=a, generality=1 - a) for a in middle]
    points = [*(point for point in view.points if point.curve != template.curve or point.alpha == 1), *frontier]
    keys = [point.key for point in frontier]
    picked = keys[count // 3]
    places = shown_points(points, keys, picked=picked)
    assert places[picked] == "frontier"
    assert len(places) <= MAX_POINTS
    assert {keys[0], keys[-1]} <= {key for key, place in places.items() if place == "frontier"}
    kept = sum(place == "frontier" for place in places.values())
    assert kept == min(count, MAX_POINTS - 2)
    assert {key.trial for key, place in places.items() if place == "baseline"} == {"theta_0", "plain-0"}


def test_a_training_that_ended_far_below_the_baselines_is_left_out():
    view = make_view()
    values = {(point.trial, point.alpha, point.fraction): point for point in view.points}
    theta_0, plain = values["theta_0", 0.0, 0.0], values["plain-0", 1.0, 1.0]
    low_s = 2 * min(theta_0.speciality, plain.speciality) - max(theta_0.speciality, plain.speciality)
    low_g = 2 * plain.generality - theta_0.generality
    end = next(point for point in view.points if point.alpha == 1 == point.fraction and point.method != "plain")

    def is_shown(speciality: float, generality: float, *baselines: FrontierPoint) -> bool:
        moved = replace(end, speciality=speciality, generality=generality)
        return moved.key in shown_points([*baselines, moved], [])

    assert is_shown(low_s + 1e-9, low_g + 1e-9, theta_0, plain)
    assert not is_shown(low_s - 1e-9, 1.0, theta_0, plain)
    assert not is_shown(1.0, low_g - 1e-9, theta_0, plain)
    assert is_shown(0.0, 0.0, theta_0)


def test_of_many_baselines_half_the_room_is_left_to_the_frontier():
    view = make_view()
    plain = next(point for point in view.points if point.method == "plain" and point.alpha == 1 == point.fraction)
    other = next(point for point in view.points if point.method not in ("plain", "theta_0"))
    seeds = [replace(plain, trial=f"plain-{i}", speciality=i / 1000) for i in range(200)]
    frontier = [replace(other, alpha=i / 1000, speciality=i / 1000) for i in range(300)]
    places = list(shown_points([*seeds, *frontier], [point.key for point in frontier]).values())
    assert (places.count("baseline"), places.count("frontier")) == (50, 50)


def test_recipes_are_flattened_by_kind_and_keep_every_digit():
    recipe = {
        "method": "l2", "adapter": {"kind": "lora", "rank": 4, "targets": ["q_proj", "k_proj"]}, "clip_norm": None,
        "penalties": [{"kind": "kd", "strength": 0.1 + 0.2}, {"kind": "l2", "strength": 1.0}], "compile": False,
    }  # fmt: skip
    assert flatten_recipe(recipe) == {
        "method": "l2", "adapter.kind": "lora", "adapter.rank": "4", "adapter.targets": "q_proj,k_proj",
        "clip_norm": "null", "penalties.kd.strength": "0.30000000000000004", "penalties.l2.strength": "1.0",
        "compile": "false",
    }  # fmt: skip


def test_names_are_made_of_what_mlflow_takes_and_stay_different():
    names = ["a=b", "a@b", "a|b", "a_b", "größe", "val/ok-1.0 x"]
    clean = [safe_name(name) for name in names]
    assert len(set(clean)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_./ -]+", name) for name in clean)
    assert clean[-1] == names[-1]


def test_a_plan_and_its_digests_are_functions_of_the_record():
    view = make_view()
    shuffled = replace(view, records=view.records[::-1], points=view.points[::-1])
    assert plan_runs(view) == plan_runs(shuffled)
    digests = [run.digest for run in plan_runs(view)]
    assert digests == [run.digest for run in plan_runs(shuffled)]
    assert len(set(digests)) == len(digests)
    changed = replace(view, artifacts={"frontier.json": b"[]"})
    assert [a == b.digest for a, b in zip(digests, plan_runs(changed), strict=True)] == [False] + [True] * (
        len(digests) - 1
    )


def test_observations_are_tags_but_for_loss_and_seconds():
    view = make_view()
    facts = {"loss": 0.5, "ok": 1, "text": "x", "broken": {"photo": ["a.png"]}}
    records = [replace(record, facts=facts, seconds={"train": 2.5}) for record in view.records]
    trial = by_kind(plan_runs(replace(view, records=records)), "trial")[-1]
    assert {name: tag for name, tag in trial.tags.items() if name.startswith("facts")} == {
        "facts.ok": "1", "facts.text": "x", "facts.broken": '{"photo": ["a.png"]}',
    }  # fmt: skip
    assert set(series(trial, "train/loss").values()) == {0.5}
    assert set(series(trial, "system/train_seconds").values()) == {2.5}
    assert {metric.name.partition("/")[0] for metric in trial.metrics} <= {"val", "val_0.5", "train", "system"}


@pytest.mark.parametrize("loss", [math.nan, math.inf, "high", True, None])
def test_a_loss_that_is_no_finite_number_is_left_out(loss):
    view = make_view()
    records = [replace(record, facts={"loss": loss}) for record in view.records]
    names = {metric.name for run in plan_runs(replace(view, records=records)) for metric in run.metrics}
    assert "train/loss" not in names


def test_likelihoods_have_their_score_nats_per_token_and_bits_per_byte():
    def likely(score):
        return replace(score, rule="bits_per_byte", items=score.items.astype("float32") + 1, facts={"tokens": 500})

    view = make_view()
    records = [
        replace(r, points=tuple(replace(p, scores={n: likely(s) for n, s in p.scores.items()}) for p in r.points))
        for r in view.records
    ]
    view = replace(view, records=records)
    role, record = ROLES[0], records[-2]
    run = next(run for run in plan_runs(view) if run.key == f"tiny-1/{record.trial}")
    score = record.points[-1].scores[role.name]
    for metric, value in {"likelihood": score.value, **score.readings}.items():
        assert series(run, f"val/{role.role}/{role.name}/{metric}")[1000] == pytest.approx(value)
    assert len(score.readings) == 2
