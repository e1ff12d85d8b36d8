"""A path of another package is checked as ours are, and missed in one line."""

import math
from pathlib import Path

import pytest
import torch
from plugins.outsiders import SPACE, install, rayforget

PATHS = "paths: {lerp: {}, trim: {keep: {grid: [0.1, 0.5]}}}"
SPACE = SPACE.replace("[{kind: huber, width: 1e-3, strength: {low: 1, high: 10, log: true}}]", "[]")
SPACE = SPACE.replace("curve: {coarse: [0, 1], refine: 0}", f"curve:\n  coarse: [0, 0.5, 1]\n  refine: 2\n  {PATHS}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


@pytest.mark.parametrize("keep", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("t", [0.25, 1.0])
def test_it_is_its_equation_by_brute_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch, keep: float, t: float
) -> None:
    install("trim", folder / "site")
    monkeypatch.syspath_prepend(folder / "site")
    from rayforget_trim import Trim  # type: ignore[import-not-found]

    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 7, 5, generator=generator)
    found = Trim(keep=keep).at({"w": start}, {"w": end}, t, {})["w"]
    order = sorted(range(35), key=lambda i: -abs(float(end.flatten()[i] - start.flatten()[i])))
    kept = set(order[: max(1, round(keep * 35))])
    for i, (first, last) in enumerate(zip(start.flatten().tolist(), end.flatten().tolist(), strict=True)):
        expected = first + t * (last - first) if i in kept else first
        assert math.isclose(float(found.flatten()[i]), expected, abs_tol=1e-6)
    if keep == 1:
        assert torch.equal(found, torch.lerp(start, end, t))


@pytest.mark.slow
def test_it_is_checked_as_ours_are_and_missed_in_one_line(folder: Path) -> None:
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "curve.paths.trim: there is no path 'trim' here" in line
    install("trim", folder / "site")
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert done.returncode == 0, done.stderr
    assert "per checkpoint 2 alphas on each of 3 paths and at most 2 between" in " ".join(done.stdout.split())
    (folder / "space.yaml").write_text(SPACE.replace("[0.1, 0.5]}", "[0.1, 2]}"))
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert "curve.paths.trim.keep: found 2" in done.stderr


@pytest.mark.slow
def test_a_path_that_raises_is_one_line_of_the_check(folder: Path) -> None:
    install("trim", folder / "site")
    module = folder / "site" / "rayforget_trim.py"
    module.write_text(
        module.read_text().replace("import torch\n\n        found", "import torch\n\n        1 / 0\n        found")
    )
    done = rayforget(folder, "check", "space.yaml")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "curve.paths: trim(keep=0.1) does not fit this model: path 'trim' of package rayforget-trim failed" in line
    assert "in at: ZeroDivisionError: division by zero (rayforget_trim.py:" in line
