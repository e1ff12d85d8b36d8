"""`rayforget pick` and `rayforget gate`: what they print, their JSON, and their exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_types import Run, Says
from synthetic_sweep import add_tests, make_records, make_space, make_sweep, untested

from rayforget.frontier.points import PointKey, parse_key
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep

SMALL: dict[str, Any] = {"trials": 7, "fractions": (1.0,), "scale": 0.1}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep and one that is not, to be copied; few items, so that a report of them takes no time."""
    folder = tmp_path_factory.mktemp("small") / "runs"
    space = make_space(folder, trainings=7, seeds=3)
    records, tests = make_records(**SMALL)
    make_sweep(space, "begun", records[:6], at=1.7e9)
    sweep = make_sweep(space, "small", records, at=1.7e9)
    add_tests(sweep, untested(sweep), tests, at=1.7e9)
    return folder


@pytest.fixture
def small(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "runs"))


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("pick", ()),
        ("pick --min-speciality", ("--min-speciality", "62")),
        ("pick --knee", ("--knee",)),
        ("pick --weights --keep", ("--weights", "2:1", "--keep", "distribution:0.5", "--keep", "counting:1")),
        ("pick --sure", ("--sure", "--max-forgetting", "3")),
    ],
)
def test_pick_says_why_what_else_and_what_the_limit_costs(
    case: str, arguments: tuple[str, ...], says: Says, small: Path
) -> None:
    assert says(case, "pick", "small", *arguments) == 0


def test_the_command_to_copy_is_one_line_on_a_narrow_terminal(
    run: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = run("pick", "small")[1].splitlines()
    point = lines[2].split()[0]
    assert any(
        line.endswith(f"rayforget export small FOLDER --point {point}") or f"trial small {point}" in line
        for line in lines
    )


def test_pick_says_what_would_do_where_nothing_qualifies(says: Says, small: Path) -> None:
    assert says("pick: nothing qualifies", "pick", "small", "--max-forgetting", "-9", "--keep", "sketch:-9") == 3


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("pick --weights of one number", ("--weights", "2")),
        ("pick --keep without points", ("--keep", "photo")),
        ("pick --keep twice", ("--keep", "photo:1", "--keep", "photo:2")),
        ("pick --knee --weights", ("--knee", "--weights", "1:1")),
    ],
)
def test_what_makes_no_sense_is_refused(case: str, arguments: tuple[str, ...], says: Says, small: Path) -> None:
    assert says(case, "pick", "small", *arguments) == 2


def test_json_names_the_point_and_what_each_limit_costs(run: Run, small: Path) -> None:
    (small / "small" / "weights").mkdir(exist_ok=True)
    (small / "small" / "weights" / "plain-1-000080.safetensors").write_bytes(b"")
    code, text = run("pick", "small", "--json", "--keep", "sketch:2")
    assert code == 0
    found = json.loads(text)
    picked = found["picked"]
    key = parse_key(picked["point"])
    assert (key.trial, key.step, key.path, key.alpha) == tuple(
        picked[name] for name in ("trial", "step", "path", "alpha")
    )
    sweep = Sweep.open(Store.open(str(small)), "small")
    record = sweep.record(key.trial, key.step)
    scores = next(point.scores for point in record.points if point.spot == (key.alpha, key.path))
    assert picked["val"]["tasks"] == {task: score.value for task, score in scores.items()}
    assert picked["recipe"] == json.loads(json.dumps(dict(record.recipe)))
    assert picked["trial"] == "plain-1"
    assert [each["weights_kept"] for each in (picked, *found["next"])] == [True, False]
    assert [limit["name"] for limit in found["limits"]] == ["generality", "sketch"]
    base = sweep.record("theta_0", 0).points[0].scores["sketch"].value
    limit = found["limits"][1]
    assert limit["val"]["value"] == pytest.approx(scores["sketch"].value - base)
    assert limit["val"]["low"] < limit["val"]["value"] < limit["val"]["high"]
    assert limit["test"]["low"] < limit["test"]["value"] < limit["test"]["high"]
    code, text = run("pick", "small", "--json", *found["limits"][0]["looser"]["option"].split(), "--keep", "sketch:2")
    assert json.loads(text)["picked"]["point"] == found["limits"][0]["looser"]["point"]


def test_a_sweep_that_is_not_finished_picks_by_val_and_cannot_be_judged(says: Says, small: Path) -> None:
    assert says("pick: not finished", "pick", "begun") == 0
    assert says("gate: not finished", "gate", "begun") == 2


def judged_by(small: Path, key: PointKey, stand_in: PointKey) -> None:
    """Records that a point was scored on `test` again, and did as another point does: one that forgot much."""
    _, test = make_records(**SMALL)
    sweep = Sweep.open(Store.open(str(small)), "small")
    add_tests(sweep, [key], {**test, key: test[stand_in]}, at=1.8e9)


def test_gate_judges_the_point_that_val_chose_by_its_interval_on_test(says: Says, run: Run, small: Path) -> None:
    assert says("gate: undecided", "gate", "small") == 4
    assert says("gate: holds", "gate", "small", "--max-forgetting", "30", "--keep", "counting:30") == 0
    assert says("gate: at least", "gate", "small", "--min-speciality", "60") == 4
    assert says("gate: nothing qualifies", "gate", "small", "--max-forgetting", "-9") == 3
    point = "plain-1/80/lerp/0.3"
    judged_by(small, parse_key(point), PointKey("plain-0", 80, 1.0))
    assert says("gate: fails", "gate", "small") == 3
    found = json.loads(run("gate", "small", "--json")[1])
    assert (found["picked"]["point"], found["verdict"], found["exit_code"]) == (point, "fails", 3)
    assert found["limits"][0]["test"]["high"] < found["limits"][0]["least"] == -0.01


PAGE = (Path(__file__).parents[2] / "docs" / "choosing.md").read_text()


@pytest.mark.slow
def test_the_pages_commands_run(run: Run, small: Path) -> None:
    lines = [line.partition("#")[0].split() for line in PAGE.splitlines() if line.startswith("rayforget ")]
    assert len(lines) > 6
    for words in lines:
        here = [{"NAME": "small", "common_sense:1": "distribution:1"}.get(word, word) for word in words[1:]]
        assert run(*here)[0] in (0, 3, 4), words


def test_the_pages_example_of_a_frontier_is_as_it_says() -> None:
    block = next(part for part in PAGE.split("```")[1::2] if "import nondominated" in part).removeprefix("python")
    *lines, area = [line.partition("#")[0] for line in block.strip().splitlines() if line]
    names: dict[str, Any] = {}
    exec("\n".join(lines[:-1]), names)
    assert eval(lines[-1].strip(), names).tolist() == names["pairs"][:2].tolist()
    assert eval(area.strip(), names) == pytest.approx(0.05 * 0.07)
