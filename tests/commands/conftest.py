"""A folder to type commands in, with a space file, its images, and two recorded sweeps."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import golden_text
import numpy as np
import pytest
from command_types import Run, Says
from PIL import Image
from synthetic_sweep import ROLES, make_records
from typer.testing import CliRunner

from rayforget.cli import app
from rayforget.errors import RayforgetError
from rayforget.frontier.choose import points_to_report
from rayforget.frontier.gather import gather
from rayforget.record.standing import roles_of
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.load import load_space
from rayforget.values.points import Spot
from rayforget.values.records import TestRecord

CREATED = 1.7e9
HEAD = """\
name: small
foundation: {kind: clip, model: builtin}
tasks:
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
SPLITS = {"photo": ("train", "val", "test"), "sketch": ("val", "test")}


def task(name: str, role: str, group: str, sources: dict[str, str]) -> str:
    more = 'templates: ["a {}"]' if role == "speciality" else f"group: {group}"
    lines = [f"  {name}:", "    kind: zero_shot", f"    role: {role}", f"    {more}"]
    return "\n".join([*lines, *(f"    {split}: {{{source}}}" for split, source in sources.items())]) + "\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in `tmp_path`; gives the exit code that `main` would give, and the output or message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYFORGET_STORAGE", raising=False)
    monkeypatch.setenv("COLUMNS", "300")  # no path is so long that its line would be broken

    def run_command(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments], prog_name="rayforget")
        if isinstance(result.exception, RayforgetError):
            return 2, str(result.exception)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run_command


@pytest.fixture
def says(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Says]:
    """Compares what a command says, in UTC three days after the sweeps, with a section; gives the exit code."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("rayforget.commands.glance.time", SimpleNamespace(time=lambda: CREATED + 3 * 86400))

    def run_and_compare(case: str, *arguments: object) -> int:
        code, text = run(*arguments)
        golden_text.check("commands", case, text, {str(tmp_path): "HERE"})
        return code

    yield run_and_compare
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Image folders of two tasks, every image another, and the space file that names them."""
    random = np.random.default_rng(0)
    text = HEAD
    for name, splits in SPLITS.items():
        role = "speciality" if name == "photo" else "generality"
        text += task(name, role, "distribution", {one: f"kind: folder, path: {name}/{one}" for one in splits})
        for split in splits:
            for label in ("cat", "dog"):
                folder = tmp_path / name / split / label
                folder.mkdir(parents=True)
                for index in range(3):
                    pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{index}.png")
    path = tmp_path / "space.yaml"
    path.write_text(text + TAIL)
    return path


@pytest.fixture(scope="session")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweeps of `recorded`, to be copied."""
    folder = tmp_path_factory.mktemp("recorded")
    text = HEAD
    for place, role in enumerate(ROLES):
        splits = SPLITS["photo" if role.role == "speciality" else "sketch"]
        sources = {
            split: f"kind: world, style: {'photo' if place == 0 else 'sketch'}, split: {split}, count: {8 + place}"
            for split in splits
        }
        text += task(role.name, role.role, role.group, sources)
    (folder / "space.yaml").write_text(text + TAIL)
    loaded = load_space(folder / "space.yaml")
    records, tests = make_records(scale=0.2)
    for name, some in (("new", []), ("half", records[: len(records) // 2]), ("whole", records)):
        info = SweepInfo(name=name, space_name="small", created=CREATED, space_digest="0" * 12)
        space = loaded.space.model_dump(mode="json")
        sweep = Sweep.create(Store.open(folder / "runs"), info, space_text=loaded.text, space=space)
        for record in some:
            sweep.add(replace(record, finished=CREATED))
    points = gather(records, roles_of(sweep)).points
    for key in (points[index].key for index in points_to_report(points)):
        scores = {Spot(key.alpha, key.path): tests[key]}
        sweep.add_tests(TestRecord(trial=key.trial, step=key.step, theta_1_hash="", scores=scores, finished=CREATED))
    return folder / "runs"


@pytest.fixture
def recorded(sweeps: Path, tmp_path: Path) -> Path:
    """Where a command looks that is given no storage: the sweeps `whole`, `half` of whose work is done, and `new`."""
    return Path(shutil.copytree(sweeps, tmp_path / "runs"))
