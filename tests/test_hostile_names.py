"""No name of a file, a folder, a class or a sweep makes a line of its own, or reaches a terminal as a command."""

import logging
import pickle
import re
import tarfile
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic_sweep import ROLES, make_records, make_space, make_sweep

from rayforget import cli
from rayforget.errors import (
    FoundationError,
    RayforgetError,
    RecordError,
    SpaceError,
    StorageError,
    TaskError,
    TrainingError,
)
from rayforget.extensions.use import in_a_line
from rayforget.foundations.model_folder import read_config
from rayforget.frontier.gather import gather
from rayforget.record.failure import failed_record
from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.terminal.live import open_console
from rayforget.report.terminal.log import log_to
from rayforget.space.file.load import load_space
from rayforget.space.recipe import Recipe
from rayforget.space.shipped import quickstart
from rayforget.space.tasks.data import FolderSource, ZeroShotTask
from rayforget.tasks.images.folder import FolderImages
from rayforget.tasks.images.remarks import image_remarks
from rayforget.tasks.images.shards import ShardImages
from rayforget.tasks.resolve import resolve_tasks
from rayforget.tasks.text.rows import json_lines

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
FAKE = "x\nsweep done: recovered 1.00\x1b[2K\r"
names = st.text(
    st.sampled_from("aB漢é .\n\r\t\x1b\x07\x85\u2028\u202e[]{}<>'\"\\%$:,#"), min_size=1, max_size=12
).filter(lambda name: name.strip(".") != "" and name[0] not in ".")
hostile = settings(max_examples=10, derandomize=True, deadline=None, database=None)


def said(act: Callable[[], object]) -> str:
    with pytest.raises(RayforgetError) as raised:
        act()
    return str(raised.value)


@hostile
@given(name=names)
@example(name=FAKE)
def test_what_is_wrong_with_files_is_one_line_whatever_they_are_called(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        odd = root / name
        (odd / "dark").mkdir(parents=True)
        (odd / "a.jsonl").write_text("{")
        (odd / "config.json").write_text("{")
        with tarfile.open(odd / "a.tar", "w") as tar:
            for end in ("jpg", "jpg"):
                info = tarfile.TarInfo(f"{name}.{end}")
                tar.addfile(info, BytesIO())
        refusals = [
            lambda: FolderImages(odd),
            lambda: FolderImages(odd / "gone"),
            lambda: ShardImages(str(odd / "a.tar").replace("{", "[{]"), image="jpg", label="cls"),
            lambda: list(json_lines(odd / "a.jsonl")),
            lambda: list(json_lines(odd / "b.jsonl")),
            lambda: read_config(odd),
            lambda: Store.open(odd).read("gone"),
            lambda: Store.open(odd).within("../x"),
            lambda: Sweep.open(Store.open(odd), name),
            lambda: load_space(odd / "gone.yaml"),
            lambda: load_space(quickstart(), [f"{name}=1"]),
            lambda: load_space(quickstart(), [f"tasks.{name.replace('.', '')}x.kind=1"]),
        ]
        for place, act in enumerate(refusals):
            text = said(act)
            lines = text.split("\n")
            assert not OBEYED.search("".join(lines)), (place, text)
            if place < 10:
                assert len(lines) == 1, (place, text)
            assert all(": " in line or "," in line or line.startswith("and ") for line in lines), (place, text)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(path, format="PNG")


def test_names_of_classes_and_images_stay_in_their_line(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for place, label in enumerate((f"dark{FAKE}", "light")):
            picture(tmp_path / split / label / f"{FAKE}{split}{place}.png")
    (tmp_path / "train" / "light" / f"{FAKE}.txt").write_text("")
    (tmp_path / "val" / "light" / f"{FAKE}broken.png").write_bytes(b"no")
    splits = {split: FolderSource(kind="folder", path=tmp_path / split) for split in ("train", "val", "test")}
    task = ZeroShotTask(kind="zero_shot", role="speciality", templates=("a {}",), **splits)
    resolved = resolve_tasks({"t": task})["t"]
    (remark,) = image_remarks(resolved)
    assert "sweep done" in remark
    items = resolved.splits["val"]
    broken = next(index for index in range(len(items.source.labels)) if "broken" in items.source.name(index))
    (tmp_path / "val" / "light" / f"{FAKE}broken.png").unlink()
    text = said(lambda: items.source.read(broken))
    assert "sweep done" in text
    assert not OBEYED.search(text)
    (tmp_path / "test" / "light").rename(tmp_path / "test" / f"bright{FAKE}")
    text = said(lambda: resolve_tasks({"t": task}))
    assert "bright" in text
    assert not OBEYED.search(text)


@pytest.mark.parametrize("kind", [SpaceError, FoundationError, TaskError, RecordError, StorageError, TrainingError])
def test_an_errors_lines_are_its_arguments_on_every_side_of_a_process(kind: type[RayforgetError]) -> None:
    error = kind(f"one {FAKE}", "two") if kind is not StorageError else kind(f"one {FAKE}")
    lines = str(error).split("\n")
    assert lines[0] == "one x␊sweep done: recovered 1.00␛[2K␍"
    assert lines[1:] == ([] if kind is StorageError else ["two"])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_trainings_reason_keeps_its_name_in_the_first_line(tmp_path: Path) -> None:
    """`status`, the report and MLflow show the first line."""
    records, _ = make_records(trials=1, seeds=1, scale=0.1, failures=1, fractions=(1.0,))
    recipe = Recipe(method="full", learning_rate=1e-3, epochs=1, batch_size=4, seed=0)
    error = TrainingError(f"tasks.photo: {FAKE}, so it failed")
    record = failed_record(TrialJob(name="t0000", recipe=recipe), f"{error}\n\nTraceback", "0" * 32)
    sweep = make_sweep(make_space(tmp_path, trainings=1, seeds=1), "s", [*records[:-1], record], at=1.0)
    (reason,) = gather(sweep.briefs(), ROLES).reasons.values()
    assert reason.endswith("so it failed")
    assert in_a_line(RuntimeError(f"{FAKE}\nend")).endswith("end")
    assert "\n" not in in_a_line(RuntimeError(f"{FAKE}\nend"))


def test_the_commands_say_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["status", FAKE, "--storage", str(tmp_path / FAKE)],
        ["list", "--storage", str(tmp_path / FAKE)],
        ["check", str(tmp_path / f"{FAKE}.yaml")],
        ["frontier", "s", "--storage", f"s9://{FAKE}"],
        [FAKE],
        ["list", FAKE],
        ["list", f"--{FAKE}"],
        ["sweep", "--trials", FAKE],
        ["list", f"{FAKE}\u202e\u2028"],
    ):
        monkeypatch.setattr("sys.argv", ["rayforget", *words])
        with pytest.raises(SystemExit):
            cli.main()
        found = capsys.readouterr()
        text = (found.out + found.err).removesuffix("\n")
        assert OBEYED.search(text.replace("\n", "")) is None, text
        assert not any(line.startswith("sweep done") for line in text.split("\n")), text


def test_what_is_logged_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("rayforget")
    before = list(logger.handlers)
    try:
        log_to(open_console(), verbose=False)
        logging.getLogger("rayforget.x").warning("%s is not used", FAKE)
    finally:
        for handler in set(logger.handlers) - set(before):
            logger.removeHandler(handler)
    said = capsys.readouterr().out
    assert "x␊sweep done" in said
    assert "\x1b" not in said
