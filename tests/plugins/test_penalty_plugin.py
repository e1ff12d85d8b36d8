"""A penalty of another package is checked as ours are, and missed in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from plugins.outsiders import SPACE, install, rayforget


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


@pytest.mark.parametrize("tau", [0.0, 0.1, 3.0])
def test_its_step_is_the_proximal_operator_by_brute_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tau: float
) -> None:
    install("huber", folder / "site")
    monkeypatch.syspath_prepend(folder / "site")
    from rayforget_huber import huber_proximal  # type: ignore[import-not-found]

    width, grid = 0.5, np.linspace(-4, 4, 80_001)
    huber = np.where(abs(grid) <= width, grid**2 / 2, width * (abs(grid) - width / 2))
    for distance in (-3.0, -0.6, 0.0, 0.2, 0.5, 2.0):
        best = grid[np.argmin((grid - distance) ** 2 / 2 + tau * huber)]
        found = float(huber_proximal(torch.tensor([distance], dtype=torch.float64), tau, width))
        assert found == pytest.approx(best, abs=2e-4)


@pytest.mark.slow
def test_it_is_checked_as_ours_are_and_missed_in_one_line(folder: Path) -> None:
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "space.yaml:21: methods.bent.penalties" in line
    assert 'found "huber"; known here: ewc, kd' in line
    assert "; a package that brings it, as an entry point of rayforget.penalties, must be installed on each" in line
    install("huber", folder / "site")
    assert rayforget(folder, "check", "space.yaml", "--no-probe").returncode == 0
    wrong = folder / "space.yaml"
    wrong.write_text(SPACE.replace("width: 1e-3", "width: -1").replace("log: true", "lg: true"))
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert "methods.bent.penalties.huber.width: found -1; write a number above 0" in done.stderr
    assert "methods.bent.penalties.huber.strength.lg: unknown key; did you mean log?" in done.stderr
