"""`rayforget pick` and `rayforget gate`: what they print, their JSON, and their exit codes."""

import json
from pathlib import Path

import pytest
from command_types import Run, Says
from synthetic_sweep import add_tests, make_records

from rayforget.frontier.points import PointKey, parse_key
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep


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
    case: str, arguments: tuple[str, ...], says: Says, recorded: Path
) -> None:
    assert says(case, "pick", "whole", *arguments) == 0


def test_pick_says_what_would_do_where_nothing_qualifies(says: Says, recorded: Path) -> None:
    assert says("pick: nothing qualifies", "pick", "whole", "--max-forgetting", "-9", "--keep", "sketch:-9") == 3


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("pick --weights of one number", ("--weights", "2")),
        ("pick --keep without points", ("--keep", "photo")),
        ("pick --keep twice", ("--keep", "photo:1", "--keep", "photo:2")),
        ("pick --keep of no task", ("--keep", "phto:1")),
        ("pick --knee --weights", ("--knee", "--weights", "1:1")),
    ],
)
def test_what_makes_no_sense_is_refused(case: str, arguments: tuple[str, ...], says: Says, recorded: Path) -> None:
    assert says(case, "pick", "whole", *arguments) == 2


def test_json_names_the_point_and_what_each_limit_costs(run: Run, recorded: Path) -> None:
    code, text = run("pick", "whole", "--json", "--keep", "sketch:2")
    assert code == 0
    found = json.loads(text)
    picked = found["picked"]
    key = parse_key(picked["point"])
    assert (key.trial, key.step, key.path, key.alpha) == tuple(
        picked[name] for name in ("trial", "step", "path", "alpha")
    )
    sweep = Sweep.open(Store.open(str(recorded)), "whole")
    record = sweep.record(key.trial, key.step)
    scores = next(point.scores for point in record.points if point.spot == (key.alpha, key.path))
    assert picked["val"]["tasks"] == {task: score.value for task, score in scores.items()}
    assert picked["recipe"] == json.loads(json.dumps(dict(record.recipe)))
    assert picked["weights_kept"] is False
    assert [limit["name"] for limit in found["limits"]] == ["generality", "sketch"]
    base = sweep.record("theta_0", 0).points[0].scores["sketch"].value
    limit = found["limits"][1]
    assert limit["val"]["value"] == pytest.approx(scores["sketch"].value - base)
    assert limit["val"]["low"] < limit["val"]["value"] < limit["val"]["high"]
    assert limit["test"]["low"] < limit["test"]["value"] < limit["test"]["high"]
    code, text = run("pick", "whole", "--json", *found["limits"][0]["looser"]["option"].split(), "--keep", "sketch:2")
    assert json.loads(text)["picked"]["point"] == found["limits"][0]["looser"]["point"]


def test_kept_weights_are_told(run: Run, recorded: Path) -> None:
    point = parse_key(json.loads(run("pick", "whole", "--json")[1])["picked"]["point"])
    folder = recorded / "whole" / "weights"
    folder.mkdir(exist_ok=True)
    (folder / f"{point.trial}-{point.step:06d}.safetensors").write_bytes(b"x")
    found = json.loads(run("pick", "whole", "--json")[1])
    assert [each["weights_kept"] for each in (found["picked"], *found["next"])] == [True, False, False]


def test_a_sweep_that_is_not_finished_picks_by_val_and_cannot_be_judged(says: Says, recorded: Path) -> None:
    assert says("pick: not finished", "pick", "half") == 0
    assert says("gate: not finished", "gate", "half") == 2


def judged_by(recorded: Path, key: PointKey, stand_in: PointKey) -> None:
    """Records that a point was scored on `test` again, and did as another point does: one that forgot much."""
    _, test = make_records(scale=0.2)
    sweep = Sweep.open(Store.open(str(recorded)), "whole")
    add_tests(sweep, [key], {**test, key: test[stand_in]}, at=1.8e9)


def test_gate_judges_the_point_that_val_chose_by_its_interval_on_test(says: Says, run: Run, recorded: Path) -> None:
    assert says("gate: undecided", "gate", "whole") == 4
    assert says("gate: holds", "gate", "whole", "--max-forgetting", "30", "--keep", "counting:30") == 0
    assert says("gate: nothing qualifies", "gate", "whole", "--max-forgetting", "-9") == 3
    point = json.loads(run("gate", "whole", "--json")[1])["picked"]["point"]
    assert json.loads(run("pick", "whole", "--json")[1])["picked"]["point"] == point
    judged_by(recorded, parse_key(point), PointKey("plain-0", 80, 1.0))
    assert says("gate: fails", "gate", "whole") == 3
    found = json.loads(run("gate", "whole", "--json")[1])
    assert (found["picked"]["point"], found["verdict"], found["exit_code"]) == (point, "fails", 3)
    assert found["limits"][0]["test"]["high"] < found["limits"][0]["least"] == -0.01
