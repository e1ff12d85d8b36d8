"""The benchmarks start, at the smallest sizes; their figures mean nothing there."""

from pathlib import Path

import pytest
from forked import run_script

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
def test_it_runs_to_its_verdict(script: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYFORGET_SHARED", str(shared))
    done = run_script(BENCHMARKS / script, *LEAST[script].split())
    assert done.returncode == 0, done.stderr[-3000:]
    assert "; target: at " in done.stdout
