"""A change that is not about the computation gives the same bits, for every theta_1 and every point.

The bits belong to a version of torch, a system and a processor's architecture; if no hashes are kept for these, make
them by `REMAKE=1 uv run pytest -m slow tests/golden`, on a commit whose bits are known to be right.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent
HASHES = HERE / "hashes.json"
KEY = f"torch {torch.__version__.partition('+')[0]}, {platform.system()}, {platform.machine()}"
ONE_WAY = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ATEN_CPU_CAPABILITY": "default",
}
"""Libraries choose their kernels, and so the order of their sums, by the processor; these force the plainest."""


def traced(name: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / "trace.py"), str(HERE / f"{name}.yaml"), str(folder)],
        env={**os.environ, **ONE_WAY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["clip", "language"])
def test_every_weight_and_every_point_is_the_one_it_was(name: str, tmp_path: Path) -> None:
    kept = json.loads(HASHES.read_text()) if HASHES.is_file() else {}
    if os.environ.get("REMAKE") == "1":
        kept.setdefault(KEY, {})[name] = traced(name, tmp_path)
        HASHES.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    if KEY not in kept:
        reason = f"no hashes are kept for {KEY}, only for: {', '.join(kept)}"
        if os.environ.get("RAYFORGET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    found = traced(name, tmp_path / "again")
    assert found.keys() == kept[KEY][name].keys()
    changed = [case for case, trace in kept[KEY][name].items() if found[case] != trace]
    assert changed == [], {case: (kept[KEY][name][case], found[case]) for case in changed[:3]}
