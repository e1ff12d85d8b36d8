"""A folder to type commands in, with a space file, its images, and two recorded sweeps."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import golden_text
import numpy as np
import pytest
from command_types import Run, Says
from PIL import Image
from synthetic_sweep import add_tests, make_records, make_space, make_sweep, untested
from typer.testing import CliRunner

from rayforget.cli import app
from rayforget.errors import RayforgetError

CREATED = 1.7e9
FOLDERS = """\
name: small
foundation: {kind: clip, model: builtin}
tasks:
  photo:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: folder, path: photo/train}
    val: {kind: folder, path: photo/val}
    test: {kind: folder, path: photo/test}
  sketch:
    kind: zero_shot
    role: generality
    group: distribution
    val: {kind: folder, path: sketch/val}
    test: {kind: folder, path: sketch/test}
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


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in `tmp_path`; gives the exit code that `main` would give, and the output or message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYFORGET_STORAGE", raising=False)
    monkeypatch.setenv("COLUMNS", "1000")  # no path is so long that its line would be broken

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
        text = re.sub("─{150,}", "─" * 150, text)  # a table is as wide as the paths in it
        golden_text.check("commands", case, text, {str(tmp_path): "HERE"})
        return code

    yield run_and_compare
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Image folders of two tasks, every image another, and the space file that names them."""
    random = np.random.default_rng(0)
    for split in ("photo/train", "photo/val", "photo/test", "sketch/val", "sketch/test"):
        for label in ("cat", "dog"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for index in range(3):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    path = tmp_path / "space.yaml"
    path.write_text(FOLDERS)
    return path


@pytest.fixture(scope="session")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweeps of `recorded`, to be copied."""
    folder = tmp_path_factory.mktemp("recorded") / "runs"
    space = make_space(folder, trainings=24, seeds=3)
    records, tests = make_records(scale=0.2)
    make_sweep(space, "new", at=CREATED)
    make_sweep(space, "half", records[: len(records) // 2], at=CREATED)
    whole = make_sweep(space, "whole", records, at=CREATED)
    add_tests(whole, untested(whole), tests, at=CREATED)
    return folder


@pytest.fixture
def recorded(sweeps: Path, tmp_path: Path) -> Path:
    """Where a command looks that is given no storage: the sweeps `whole`, `half` of whose work is done, and `new`."""
    return Path(shutil.copytree(sweeps, tmp_path / "runs"))
