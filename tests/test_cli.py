"""The command line: quick to answer, one message for a mistake, nothing written by commands that only look."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_sweep import make_records
from typer.testing import CliRunner

from rayforget.cli import app, main
from rayforget.errors import RayforgetError
from rayforget.frontier.choose import points_to_report
from rayforget.frontier.gather import gather
from rayforget.record.envelope import seal
from rayforget.record.standing import roles_of, trainings_of
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.load import load_space
from rayforget.values.points import Spot
from rayforget.values.records import TestRecord

HEAD = """\
name: small
foundation: {kind: clip, model: builtin}
"""
TAIL = """\
recipe:
  learning_rate: {low: 1e-5, high: 1e-3, log: true}
  epochs: 2
  batch_size: 4
methods:
  full: {}
plain:
  set: {learning_rate: 1e-4}
search: {trainings: 24, seed: 0}
"""
WORLD = """\
tasks:
  photo:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: world, style: photo, split: train, count: 8}
    val: {kind: world, style: photo, split: val, count: 8}
    test: {kind: world, style: photo, split: test, count: 8}
""" + "".join(
    f"""\
  {name}:
    kind: zero_shot
    role: generality
    group: {group}
    val: {{kind: world, style: sketch, split: val, count: {8 + index}}}
    test: {{kind: world, style: sketch, split: test, count: {8 + index}}}
"""
    for index, (name, group) in enumerate(
        [
            ("art_painting", "distribution"),
            ("cartoon", "distribution"),
            ("sketch", "distribution"),
            ("counting", "task"),
        ]
    )
)
FOLDERS = "tasks:\n" + "".join(
    f"""\
  {name}:
    kind: zero_shot
    role: {role}
"""
    + "".join(f"    {split}: {{kind: folder, path: {name}/{split}}}\n" for split in splits)
    for name, role, splits in [
        ("photo", 'speciality\n    templates: ["a {}"]', ("train", "val", "test")),
        ("sketch", "generality\n    group: distribution", ("val", "test")),
    ]
)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder; returns the exit code that `main` would give, and the output or message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYFORGET_STORAGE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        if isinstance(result.exception, RayforgetError):
            return 2, str(result.exception)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run_command


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Image folders of two tasks, all images different, and the space file that names them."""
    random = np.random.default_rng(0)
    for task, splits in (("photo", ("train", "val", "test")), ("sketch", ("val", "test"))):
        for split in splits:
            for label in ("cat", "dog"):
                folder = tmp_path / task / split / label
                folder.mkdir(parents=True)
                for index in range(3):
                    pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{index}.png")
    path = tmp_path / "space.yaml"
    path.write_text(HEAD + FOLDERS + TAIL)
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage path with a complete sweep, `whole`, and one that lacks its last trainings, `half`."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "space.yaml").write_text(HEAD + WORLD + TAIL)
    loaded = load_space(folder / "space.yaml")
    records, tests = make_records(scale=0.2)
    for name, some in (("whole", records), ("half", records[: len(records) // 2])):
        info = SweepInfo(name=name, space_name="small", created=1.7e9, space_digest="0" * 12)
        storage = Store.open(folder / "runs")
        sweep = Sweep.create(storage, info, space_text=loaded.text, space=loaded.space.model_dump(mode="json"))
        for record in some:
            sweep.add(record)
        if name == "half":
            continue
        points = gather(some, roles_of(sweep)).points
        for key in (points[index].key for index in points_to_report(points)):
            scores = {Spot(key.alpha, key.path): tests[key]}
            sweep.add_tests(TestRecord(trial=key.trial, step=key.step, theta_1_hash="", scores=scores, finished=1.7e9))
    return folder / "runs"


def files_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_help_is_answered_without_any_heavy_import() -> None:
    heavy = {"torch", "ray", "pydantic", "numpy", "optuna", "mlflow", "open_clip", "rich", "pyarrow"}
    code = (
        "import sys, time; started = time.perf_counter(); sys.argv = ['rayforget', '--help']\n"
        "from rayforget.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted({heavy} & sys.modules.keys()), time.process_time())"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found, _, spent = done.stdout.splitlines()[-1].rpartition(" ")
        assert found == "[]"
        seconds.append(float(spent))  # CPU time, which a busy machine changes little
    assert statistics.median(seconds) < 0.5


def test_looking_at_the_record_imports_no_model_library(recorded: Path) -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "matplotlib", "plotly", "rayforget.space.models"}
    code = (
        "import sys\n"
        "from rayforget.cli import main\n"
        f"for command in (['list'], ['status', 'whole']):\n"
        f"    sys.argv = ['rayforget', *command, '--storage', {str(recorded)!r}]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code\n"
        f"print(sorted({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "26 of 27 trainings done" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistake_is_one_message_on_standard_error_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rayforget", "status", "none", "--storage", "runs"])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "no sweep none" in captured.err
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("command", ["check", "sweep"])
@pytest.mark.parametrize(
    ("spoil", "line", "text"),
    [
        (lambda root: (root / "space.yaml").write_text(HEAD + "colour: red\n" + FOLDERS + TAIL), 3, "unknown key"),
        (lambda root: (root / "photo/val").rename(root / "photo/elsewhere"), 9, "expected a folder"),
        (
            lambda root: (root / "photo/test/cat/9.png").write_bytes((root / "photo/val/dog/0.png").read_bytes()),
            None,
            "the same image in two splits",
        ),
        (lambda root: (root / "sketch/test/cat").rename(root / "sketch/test/unicorn"), None, "unicorn"),
    ],
    ids=["unknown key", "missing folder", "overlapping splits", "label without class name"],
)
def test_a_space_that_cannot_be_used_is_refused_before_any_sweep_is_written(
    command: str, spoil: Callable[[Path], object], line: int | None, text: str, run: Run, folders: Path
) -> None:
    spoil(folders.parent)
    before = files_below(folders.parent)
    code, message = run(command, folders)
    assert code == 2
    assert text in message
    assert message.startswith(f"{folders}:{'' if line is None else line}")
    assert len(message.splitlines()) == 1
    cache = folders.parent / "runs" / "cache"  # hashes of the images read, for a second try
    written = files_below(folders.parent) - before - {cache.parent, cache}
    assert all(cache / "hashes" in (path, *path.parents) for path in written)


def test_schema_prints_json(run: Run) -> None:
    code, output = run("schema")
    assert code == 0
    assert {"foundation", "tasks", "methods"} <= json.loads(output)["properties"].keys()


def test_check_prints_the_plan_and_writes_nothing(run: Run, folders: Path) -> None:
    before = files_below(folders.parent)
    code, output = run("check", folders, "--no-probe", "--trials", "5", "--set", "curve.fractions=[0.5, 1.0]")
    assert code == 0
    assert "8: full 5; baseline: plain 3" in output
    assert "3 in each training (6 images)" in output  # 6 images, 2 epochs, batches of 4
    assert "2 in each training, 16 in all" in output
    assert "20 to 29 models" in output
    assert "whether the images can be decoded" in output
    assert files_below(folders.parent) == before


@pytest.mark.slow
def test_the_probe_sets_every_method_up_and_leaves_nothing(run: Run, folders: Path) -> None:
    from tiny_clip import save_clip

    text = folders.read_text().replace("builtin", save_clip(folders.parent / "model").model)
    methods = "  full: {}\n  text: {head: text}\n  lora:\n    adapter: {kind: lora, rank: 2}\n"
    folders.write_text(text.replace("  full: {}\n", methods))
    before = files_below(folders.parent)
    code, output = run("check", folders, "--set", "resources.cpus_per_worker=1")
    assert code == 0
    for name in ("full", "text", "lora", "plain"):
        assert re.search(rf"{name}: (\S+ ms a step|not timed)", output), output
    assert "on this machine" in output
    assert files_below(folders.parent) == before

    folders.write_text(folders.read_text().replace("rank: 2", "rank: 2, targets: [q_proj, nothing]"))
    line = next(number for number, line in enumerate(folders.read_text().splitlines(), 1) if "targets" in line)
    code, message = run("check", folders)
    assert code == 2
    assert message.startswith(f"{folders}:{line}: methods.lora: adapter.targets names 'nothing'")

    (folders.parent / "model" / "open_clip_config.json").unlink()
    code, message = run("check", folders)
    assert code == 2
    assert message.startswith(f"{folders}:2: foundation.model local-dir:")


@pytest.mark.parametrize(
    ("penalty", "warns"),
    [
        ("{kind: l1, strength: {low: 1, high: 10}}", "freezes the model"),
        ("{kind: l1, strength: {low: 1e-3, high: 1, log: true}}", None),
        ("{kind: l2, strength: {low: 1e9, high: 1e10, log: true}}", "leaves the model at theta_0"),
        ("{kind: l2, strength: 1e-9}", "does next to nothing"),
        ("{kind: l2, strength: 0}", None),
        ("{kind: l2_coupled, strength: 1e9}", None),
    ],
)
def test_a_proximal_strength_out_of_all_proportion_is_noted(
    penalty: str, warns: str | None, run: Run, folders: Path
) -> None:
    folders.write_text(folders.read_text().replace("  full: {}", f"  some:\n    penalties:\n      - {penalty}"))
    code, output = run("check", folders, "--no-probe")
    assert code == 0
    assert ("methods.some: " in output) == (warns is not None)
    assert warns is None or warns in output


def test_list_shows_every_sweep_and_how_far_it_is(run: Run, recorded: Path) -> None:
    code, output = run("list", "--storage", recorded)
    assert code == 0
    rows = {line.split()[0]: line for line in output.splitlines() if line.split()[:1] in (["whole"], ["half"])}
    assert "on test" in rows["whole"]
    assert "finished" in rows["whole"]
    assert "not finished" in rows["half"]
    assert "on val" in rows["half"]


def test_list_shows_a_damaged_sweep_as_one_row(run: Run, recorded: Path, tmp_path: Path) -> None:
    storage = tmp_path / "copy"
    shutil.copytree(recorded, storage)
    for name, file in (
        ("no_info", "sweep.json"),
        ("no_space", "space.json"),
        ("no_points", "points/theta_0-000000.json"),
    ):
        shutil.copytree(recorded / "half", storage / name)
        info = SweepInfo(name=name, space_name="small", created=1.7e9, space_digest="0" * 12)
        (storage / name / "sweep.json").write_bytes(seal("sweep", asdict(info)))
        (storage / name / file).write_bytes(b"{")
    code, output = run("list", "--storage", storage)
    assert code == 0
    lines = output.splitlines()
    places = {line.split()[0]: number for number, line in enumerate(lines) if line.split()}
    for name in ("no_info", "no_space", "no_points"):
        assert "cannot be read: " in "".join(lines[places[name] : places[name] + 3]), output
    assert "on test" in lines[places["whole"]]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"tasks": {"a": 1}}'])
@pytest.mark.parametrize("command", ["status", "frontier", "mirror", "sweep --resume"])
def test_a_damaged_space_is_one_line(command: str, text: str, run: Run, recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "copy")
    (tmp_path / "copy" / "half" / "space.json").write_text(text)
    code, message = run(*command.split(), "half", "--storage", tmp_path / "copy")
    assert code == 2
    assert re.fullmatch(r"\S+/half/space.json is damaged.* \(.+\); restore it from a copy.*", message), message
    code, output = run("list", "--storage", tmp_path / "copy")
    assert code == 0
    assert "half/space.json is damaged" in "".join(output.split("cannot be read: ")[1].split("\n"))


@pytest.mark.parametrize("command", ["frontier", "mirror", "sweep --resume"])
def test_a_space_of_a_newer_version_is_named_as_one(command: str, run: Run, recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "copy")
    path = tmp_path / "copy" / "half" / "space.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    code, message = run(*command.split(), "half", "--storage", tmp_path / "copy")
    assert code == 2
    assert re.fullmatch(
        r"\S+ is damaged, or of another version of rayforget \(colour: .*\); .* use the version.*", message
    )


def test_list_names_a_renamed_sweep_as_its_folder(run: Run, recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded / "half", tmp_path / "copy" / "renamed")
    code, output = run("list", "--storage", tmp_path / "copy")
    assert code == 0
    assert "renamed" in output
    assert "half" not in output


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_out_that_is_no_folder_is_refused_before_anything_is_computed(
    out: str, run: Run, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("rayforget.report.present.read_report", lambda *_, **__: pytest.fail("computed"))
    code, message = run("frontier", "whole", "--storage", recorded, "--out", tmp_path / out)
    assert code == 2
    assert message == (
        f"--out {tmp_path / out} cannot be written: {tmp_path / 'file'} is no folder; give a folder, which may be new"
    )


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            PermissionError(13, "Permission denied", "x"),
            2,
            "the system refused (PermissionError: [Errno 13] Permission",
        ),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_an_error_of_the_system_is_one_line_and_a_closed_pipe_none(error: OSError, code: int, words: str) -> None:
    script = (
        "import sys; sys.argv = ['rayforget', 'schema']\n"
        "import rayforget.cli, rayforget.space.schema\n"
        f"def fail(): raise {error!r}\n"
        "rayforget.space.schema.json_schema = fail\n"
        "rayforget.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == bool(words)


def test_a_terminal_that_lacks_a_letter_is_no_error(tmp_path: Path) -> None:
    info = SweepInfo(name="s", space_name="small", created=1.7e9, space_digest="0" * 12)
    space = {"search": {"trainings": 2}, "plain": {"seeds": 1}, "tasks": {}}
    Sweep.create(Store.open(tmp_path), info, space_text="", space=space)
    arguments = [sys.executable, "-m", "rayforget.cli", "status", "s", "--storage", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "recovered ?" in done.stdout


@pytest.mark.parametrize("how", ["option", "variable", "file"])
def test_a_storage_that_is_given_outdoes_the_file_s_whatever_it_is(
    how: str, run: Run, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.write_text(folders.read_text() + "storage: {path: elsewhere}\n")
    found: list[str] = []
    monkeypatch.setattr(
        "rayforget.commands.sweep.start_sweep", lambda loaded, **_: found.append(loaded.space.storage.path)
    )
    if how == "variable":
        monkeypatch.setenv("RAYFORGET_STORAGE", "runs")
    run("sweep", folders, *(["--storage", "runs"] if how == "option" else []))
    assert [Path(path).name for path in found] == ["elsewhere" if how == "file" else "runs"]


@pytest.mark.parametrize(("resume", "overrides"), [(True, ()), (False, ("storage.path=s3://b/runs",))])
def test_a_submitted_sweep_that_goes_on_keeps_its_storage_out_of_the_overrides(
    resume: bool, overrides: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("rayforget.on_ray.submit.submit_sweep", lambda _, **all_: asked.append(all_["overrides"]) or 0)
    name = ["--resume", "s"] if resume else []
    assert run("sweep", *name, "--address", "http://h:1", "--storage", "s3://b/runs")[0] == 0
    assert asked == [overrides]


@pytest.mark.parametrize("port", ["0", "65536"])
def test_a_port_that_cannot_be_is_refused(port: str, run: Run, recorded: Path) -> None:
    code, message = run("ui", "whole", "--storage", recorded, "--port", port)
    assert code == 2
    assert "Invalid value for '--port'" in message


@pytest.mark.slow
def test_the_probe_names_a_broken_image_that_it_came_upon(run: Run, folders: Path) -> None:
    from tiny_clip import save_clip

    text = folders.read_text().replace("builtin", save_clip(folders.parent / "model").model)
    for split in ("train", "val"):
        place = f"path: photo/{split}"
        text = text.replace(place, f"{place}, max_broken: 1")
        (folders.parent / "photo" / split / "cat" / "1.png").write_bytes(f"no image of {split}".encode())
    folders.write_text(text)
    code, output = run("check", folders, "--set", "resources.cpus_per_worker=1")
    assert code == 0, output
    for split in ("train", "val"):
        assert f"tasks.photo.{split}, of a few looked at: 1 broken image skipped: " in output


def test_status_tells_failures_and_how_to_go_on(run: Run, recorded: Path) -> None:
    code, output = run("status", "whole", "--storage", recorded)
    assert code == 0
    assert "26 of 27 trainings done, 1 failed, 0 unfinished, 0 not begun" in output
    assert "failed: t0023: loss is nan" in output
    assert str(recorded / "whole" / "points" / "t0023-000000.json") in output
    code, output = run("status", "half", "--storage", recorded)
    assert code == 0
    assert f"rayforget sweep --resume half --storage {recorded}" in output


def test_a_training_that_was_handed_out_and_not_recorded_is_unfinished(run: Run, recorded: Path) -> None:
    (recorded / "half" / "asked").mkdir()
    (recorded / "half" / "asked" / "t0099.json").write_text("{}")
    code, output = run("status", "half", "--storage", recorded)
    assert code == 0
    assert "unfinished: t0099: no checkpoint recorded yet" in output


def test_the_budget_of_a_resumed_sweep_counts(recorded: Path) -> None:
    sweep = Sweep.open(Store.open(recorded), "whole")
    assert trainings_of(sweep) == 24 + 3
    sweep.note_budget(30)
    try:
        assert trainings_of(sweep) == 30 + 3
    finally:
        sweep.store.delete("budget")


@pytest.mark.parametrize("command", ["status", "frontier", "mirror", "ui"])
def test_a_sweep_that_does_not_exist_is_named_beside_those_that_do(command: str, run: Run, recorded: Path) -> None:
    before = files_below(recorded)
    code, message = run(command, "none", "--storage", recorded)
    assert (code, message) == (2, f"no sweep none in {recorded}; found: half, whole")
    assert files_below(recorded) == before


@pytest.mark.slow
def test_frontier_draws_into_the_folder_it_is_given(run: Run, recorded: Path, tmp_path: Path) -> None:
    before = files_below(recorded)
    code, output = run("frontier", "whole", "--storage", recorded, "--out", tmp_path / "out")
    assert code == 0
    assert "Frontier" in output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"frontier.png", "frontier.html", "frontier.json"}
    assert files_below(recorded) == before


@pytest.mark.slow
def test_frontier_in_full_prints_whole_splits_of_the_recorded_items(run: Run, recorded: Path, tmp_path: Path) -> None:
    text = recorded.joinpath("whole", "space.json").read_text()
    tree = json.loads(text)
    code, output = run("frontier", "whole", "--storage", recorded, "--out", tmp_path / "out", "--full")
    assert (code, "--full has nothing to show: no task has a `cut`" in output) == (0, True)
    sketch = tree["tasks"]["sketch"]
    sketch["cut"] = {"source": sketch["val"] | {"seed": 5}, "seed": 0, "val_share": 0.5}
    sketch["val"] = sketch["test"] = None
    recorded.joinpath("whole", "space.json").write_text(json.dumps(tree))
    try:
        code, output = run("frontier", "whole", "--storage", recorded, "--out", tmp_path / "out", "--full")
    finally:
        recorded.joinpath("whole", "space.json").write_text(text)
    assert code == 0
    assert "seen in selection" in output
    assert re.search(r"sketch +θ0, pretrained +\d+ +\d", output)


def test_rm_asks_and_deletes_one_sweep_alone(run: Run, recorded: Path) -> None:
    info = SweepInfo(name="third", space_name="small", created=1.8e9, space_digest="0" * 12)
    Sweep.create(Store.open(recorded), info, space_text="", space={})
    assert run("rm", "third", "--storage", recorded)[0] == 1  # nobody said yes
    assert (recorded / "third").is_dir()
    code, _ = run("rm", "third", "--storage", recorded, "--yes")
    assert code == 0
    assert sorted(path.name for path in recorded.iterdir()) == ["half", "whole"]
    assert run("rm", "third", "--storage", recorded, "--yes")[0] == 2


def test_ui_without_a_mirror_says_how_to_make_one(run: Run, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, message = run("ui", "whole", "--storage", recorded)
    assert code == 2
    assert "rayforget mirror whole" in message
