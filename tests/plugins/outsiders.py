"""Another party's package, as an installer leaves it, and a command line with and without it on the path."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from forked import run_rayforget

HERE = Path(__file__).parent
SPACE = """
name: outsiders
foundation: {kind: clip, model: builtin}
tasks:
  sketch:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: world, style: sketch, split: train, count: 40}
    val: {kind: world, style: sketch, split: val, count: 20}
    test: {kind: world, style: sketch, split: test, count: 20}
  photo:
    kind: zero_shot
    role: generality
    group: distribution
    val: {kind: world, style: photo, split: val, count: 20}
    test: {kind: world, style: photo, split: test, count: 20}
recipe: {head: frozen, learning_rate: 1e-3, epochs: 1, batch_size: 16}
methods:
  bent:
    penalties: [{kind: huber, width: 1e-3, strength: {low: 1, high: 10, log: true}}]
plain: {seeds: 1}
search: {trainings: 1, seed: 0}
curve: {coarse: [0, 1], refine: 0}
resources: {cpus_per_worker: 1}
tracking: {enabled: false}
"""
"""A space whose penalty is another package's; other tests change it."""


def install(name: str, site: Path) -> None:
    """Copies a package of this folder to a folder that serves as site-packages; builds and downloads nothing.

    Args:
        name: the package's folder.
        site: the folder to put on the path (PYTHONPATH).
    """
    project = tomllib.loads((HERE / name / "pyproject.toml").read_text())["project"]
    for module in (HERE / name).glob("*.py"):
        shutil.copy(module, site)
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    lines = (
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items()) for group, points in groups
    )
    (metadata / "entry_points.txt").write_text("\n".join(lines))


def write_package(
    folder: Path,
    package: str,
    points: dict[str, str],
    code: str = "",
    group: str = "rayforget.toys",
    version: str = "2.5",
) -> None:
    """Writes what pip leaves of a package of one module: that, and metadata with its entry points."""
    (folder / f"{package}.py").write_text(code)
    metadata = folder / f"{package}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = "".join(f"{name} = {package}:{place}\n" for name, place in points.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}")


def rayforget(folder: Path, *arguments: str, site: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder; with `site`, packages in its sub-folder `site` are on the path."""
    return run_rayforget(folder, *arguments, path=[folder / "site"] if site else [])


def python(folder: Path, *arguments: str, site: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs Python itself, likewise, as a fresh interpreter."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **({"PYTHONPATH": str(folder / "site")} if site else {})},
        capture_output=True,
        text=True,
        check=False,
    )
