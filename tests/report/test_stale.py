"""A report that a larger budget has overtaken says so: in the terminal, in its files, in MLflow."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import golden_text
import pytest
from PIL import Image
from rich.console import Console
from synthetic_sweep import ROLES, add_records, add_tests, make_records, make_space, make_sweep, untested

from rayforget.frontier.gather import gather
from rayforget.frontier.points import PointKey
from rayforget.record.standing import Standing, standing_of
from rayforget.record.sweep import Sweep
from rayforget.report.method_styles import ALERT
from rayforget.report.present import mark_stale, mirror_sweep, present, read_report
from rayforget.report.words.numbers import stale_notice
from rayforget.space.models import Space

RECORDS, TEST = make_records(trials=4, seeds=2, scale=0.1, failures=0, fractions=(1.0,))
FIRST, LATER = RECORDS[:5], RECORDS[5:]
"""theta_0, two baselines and two trainings; then two more from a larger budget."""


def space_of(root: Path, trainings: int = 2) -> Space:
    return make_space(root, trainings=trainings, seeds=2, tracking=f"sqlite:///{root / 'mlflow.db'}")


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Two trainings and the baselines, all done; nothing on `test` yet."""
    made = make_sweep(space_of(tmp_path), "s", FIRST, at=100.0)
    made.note_budget(2)
    return made


def score_on_test(sweep: Sweep, keys: Sequence[PointKey], *, at: float) -> None:
    add_tests(sweep, keys, TEST, at=at)


def standing(sweep: Sweep) -> Standing:
    records = sweep.records()
    return standing_of(sweep, records, gather(records, ROLES))


def show(sweep: Sweep, root: Path) -> str:
    out = StringIO()
    present(sweep, space_of(root), Console(file=out, width=110, color_system=None))
    return out.getvalue()


def files(root: Path) -> dict[str, bool]:
    """Which of the report's files say that they are stale."""
    folder = root / "s" / "report"
    with Image.open(folder / "frontier.png") as image:
        colors = {color for _, color in image.convert("RGB").getcolors(maxcolors=1 << 24)}
    rows = json.loads((folder / "frontier.json").read_text())
    return {
        "png": tuple(int(ALERT[i : i + 2], 16) for i in (1, 3, 5)) in colors,
        "html": "Stale: " in (folder / "frontier.html").read_text(),
        "json": all(row["stale"] for row in rows),
    }


def test_a_report_is_stale_from_the_larger_budget_to_its_last_test_score(sweep: Sweep, tmp_path: Path) -> None:
    assert not standing(sweep).report_is_stale
    first, *rest = untested(sweep)
    score_on_test(sweep, [first], at=200.0)
    assert not standing(sweep).report_is_stale  # the first report has not been made yet
    score_on_test(sweep, rest, at=201.0)
    assert standing(sweep).finished
    assert not standing(sweep).report_is_stale
    sweep.note_budget(4)
    assert standing(sweep).report_is_stale
    for record in LATER:
        add_records(sweep, [record], at=300.0)
        assert standing(sweep).report_is_stale
    *some, last = untested(sweep)
    score_on_test(sweep, some, at=400.0)
    assert standing(sweep).report_is_stale
    score_on_test(sweep, [last], at=400.0)
    assert standing(sweep).finished
    assert not standing(sweep).report_is_stale


def test_a_larger_budget_before_the_first_report_makes_nothing_stale(sweep: Sweep) -> None:
    sweep.note_budget(4)
    assert not standing(sweep).report_is_stale


@pytest.mark.parametrize("budget", [2, 4])
def test_a_deleted_record_makes_a_report_stale_and_is_the_reason_given(
    sweep: Sweep, tmp_path: Path, budget: int
) -> None:
    sweep.note_budget(budget)
    add_records(sweep, LATER if budget == 4 else [], at=150.0)
    score_on_test(sweep, untested(sweep), at=200.0)
    assert standing(sweep).finished
    trial = next(record.trial for record in sweep.tests() if record.trial != "theta_0")
    (record,) = (record for record in sweep.records() if record.trial == trial)
    sweep.store.delete(f"points/{record.key}.json")
    golden_text.check("reports", f"stale: records were deleted, budget {budget}", stale_notice(standing(sweep)) or "")
    add_records(sweep, [record], at=300.0)
    assert not standing(sweep).report_is_stale


def test_a_record_that_is_lost_after_a_second_try_is_not_one_that_is_tried_again(sweep: Sweep) -> None:
    *_, first, second = FIRST
    sweep.store.delete(f"points/{first.key}.json")
    failed = replace(first, step=0, status="failed", reason="it raised", points=())
    sweep.add(failed)
    score_on_test(sweep, [key for key in untested(sweep) if key.trial != second.trial], at=200.0)
    sweep.set_aside(failed)
    found = standing(sweep)
    assert (found.report_is_stale, found.records_lost, found.tried_again) == (True, False, True)
    add_records(sweep, [first], at=300.0)
    found = standing(sweep)
    assert (found.report_is_stale, found.records_lost, found.tried_again) == (True, False, True)
    score_on_test(sweep, [key for key in untested(sweep) if key.trial != second.trial], at=400.0)
    sweep.store.delete(f"points/{second.key}.json")
    found = standing(sweep)
    assert (found.report_is_stale, found.records_lost, found.tried_again) == (True, True, False)
    add_records(sweep, [second], at=500.0)  # made again, its points not yet scored on test
    found = standing(sweep)
    assert found.untested
    assert (found.report_is_stale, found.records_lost, found.tried_again) == (True, True, False)


def test_terminal_and_files_say_so_and_take_it_back(sweep: Sweep, tmp_path: Path) -> None:
    score_on_test(sweep, untested(sweep), at=200.0)
    assert "Stale" not in show(sweep, tmp_path)
    assert files(tmp_path) == {"png": False, "html": False, "json": False}
    sweep.note_budget(4)
    add_records(sweep, LATER[:1], at=300.0)
    notice = stale_notice(standing(sweep))
    assert notice is not None
    golden_text.check("reports", "stale: a larger budget", notice)
    assert notice in " ".join(show(sweep, tmp_path).split())
    assert files(tmp_path) == {"png": True, "html": True, "json": True}
    add_records(sweep, LATER[1:], at=300.0)
    score_on_test(sweep, untested(sweep), at=400.0)
    assert "Stale" not in show(sweep, tmp_path)
    assert files(tmp_path) == {"png": False, "html": False, "json": False}


@pytest.mark.slow
def test_going_on_marks_the_files_and_mlflow_at_once(sweep: Sweep, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    def tag() -> str:
        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("tiny")
        (run,) = client.search_runs([experiment.experiment_id], "tags.`rayforget.kind` = 'sweep'")
        return str(run.data.tags["stale"])

    score_on_test(sweep, untested(sweep), at=200.0)
    show(sweep, tmp_path)
    mirror_sweep(sweep, space_of(tmp_path), running=False)
    out = StringIO()
    console = Console(file=out, width=110)
    mark_stale(sweep, space_of(tmp_path), console)
    assert out.getvalue() == ""
    assert (tag(), files(tmp_path)["html"]) == ("false", False)
    sweep.note_budget(4)
    mark_stale(sweep, space_of(tmp_path, 4), console)
    assert "4 of 6 are done" in out.getvalue()
    assert (tag(), files(tmp_path)) == ("true", {"png": True, "html": True, "json": True})


def test_a_report_says_what_the_data_lacked(tmp_path: Path) -> None:
    space, lacking = space_of(tmp_path), {"broken": {"photo": ["a.png"]}}
    records = [record if record.recipe else replace(record, facts=lacking) for record in FIRST]
    made = make_sweep(space, "s", records, at=1.0)
    assert read_report(made, space).summary.remarks == ("tasks.photo.val: 1 broken image skipped: a.png",)


@pytest.mark.parametrize(("search", "adaptive"), [({}, False), ({"startup": 1}, True), ({"sampler": "random"}, False)])
def test_recipes_are_independent_until_a_sampler_has_seen_scores(
    tmp_path: Path, search: dict[str, Any], adaptive: bool
) -> None:
    space = space_of(tmp_path)
    space = space.model_copy(update={"search": space.search.model_copy(update=search)})
    made = make_sweep(space, "s", FIRST, at=1.0)
    assert read_report(made, space).summary.adaptive == adaptive
