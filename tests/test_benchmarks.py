"""The benchmarks start, at the smallest sizes; their figures mean nothing there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LEAST = {
    "alpha_curve.py": "--images 4 --points 2 --threads 1",
    "penalty_step.py": "--trials 2 --batch 4 --large none --threads 1",
    "lm_step.py": "--steps 1 --batch 2 --rounds 1 --width 64 --layers 1 --vocab 64 --threads 1 --together",
    "driver.py": "--trials 25 --items 4",
    "lm_scoring.py": "--arc-easy 2 --pubmedqa 1 --points 2 --width 64 --layers 1 --threads 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("script", LEAST)
def test_it_runs_to_its_verdict(script: str, shared: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *LEAST[script].split()],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "RAYFORGET_SHARED": str(shared)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "; target: at " in done.stdout
