"""A foundation, a penalty, a path and a metric of other packages go the whole way, and none is needed to list it.

What each of them does alone is tested in the file that is named after it.
"""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from plugins.outsiders import SPACE, install, python
from plugins.test_foundation_plugin import OURS, THEIRS

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]

SPACE = SPACE.replace(OURS, THEIRS).replace("head: frozen, ", "")
SPACE = SPACE.replace("role: speciality", "role: speciality\n    metric: macro_f1")
SPACE = SPACE.replace("role: generality", "role: generality\n    metric: balanced_accuracy")
SPACE = SPACE.replace(
    "curve: {coarse: [0, 1], refine: 0}",
    "curve: {coarse: [0, 0.5, 1], refine: 2, paths: {lerp: {}, trim: {keep: {grid: [0.1, 0.5]}}}}",
)
PACKAGES = ("pixels", "huber", "trim", "macro_f1")


def rayforget(folder: Path, *arguments: str, site: bool = True) -> CompletedProcess[str]:
    """In a fresh interpreter, since Ray starts others like it."""
    return python(folder, "-m", "rayforget.cli", *arguments, site=site)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "space.yaml").write_text(SPACE)
    for name in PACKAGES:
        install(name, tmp_path / "site")
    return tmp_path


def test_they_are_trained_with_scored_and_shown_and_the_record_names_their_packages(folder: Path) -> None:
    done = rayforget(folder, "sweep", "space.yaml", "--name", "one")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "macro F1 of sketch; balanced accuracy of photo" in " ".join(done.stdout.split())

    (file,) = (path for path in (folder / "runs" / "one" / "points").glob("*.json") if "bent" in path.name)
    body = json.loads(file.read_text())["body"]
    assert body["status"] == "ok"
    assert body["recipe"]["penalties"][0]["kind"] == "huber"
    assert body["provenance"]["extensions"] == {
        "rayforget.foundations": {"pixels": "rayforget-pixels 0.3"},
        "rayforget.metrics": {"macro_f1": "rayforget-macro-f1 0.3"},
        "rayforget.paths": {"trim": "rayforget-trim 0.3"},
        "rayforget.penalties": {"huber": "rayforget-huber 1.2"},
    }
    scored = {(point.get("path", "lerp"), point["alpha"]) for point in body["points"] if point["coarse"]}
    expected = {(f"trim(keep={keep})", alpha) for keep in (0.1, 0.5) for alpha in (0.5, 1.0)}
    assert scored == expected | {("lerp", alpha) for alpha in (0.0, 0.5, 1.0)}
    scores = body["points"][0]["scores"]
    assert (scores["sketch"]["rule"], scores["sketch"]["package"]) == ("macro_f1", "rayforget-macro-f1")
    assert "package" not in scores["photo"]
    assert {scores[task]["classes"] for task in ("sketch", "photo")} <= body["weights"].keys()

    done = rayforget(folder, "frontier", "one")
    assert done.returncode == 0, done.stderr
    for path in ("trim(keep=0.1)", "trim(keep=0.5)"):
        assert any(line.startswith(path) for line in done.stdout.splitlines()), done.stdout
    done = rayforget(folder, "sweep", "--resume", "one")  # finished: reported again, from the record alone
    assert done.returncode == 0, done.stdout + done.stderr

    for arguments in (["list"], ["status", "one"]):  # what is known of it needs no package
        assert rayforget(folder, *arguments, site=False).returncode == 0
    for arguments in (["frontier", "one"], ["sweep", "--resume", "one", "--trials", "2"]):
        done = rayforget(folder, *arguments, site=False)
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert "sweep one cannot be used here: it was made with what is not installed here: install rayforget-h" in line
        assert all(f"'{name}'" in line for name in PACKAGES)
