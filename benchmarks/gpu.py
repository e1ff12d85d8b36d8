"""What a sweep does on a GPU, beside what others do there: training, scoring, and the time between two trainings.

Each part runs in a process of its own with its own time limit; its figures are printed as they come, and once more in
one table at the end. Models have random weights, made on the device. It needs the core alone (no Ray, MLflow, Optuna or
lm-eval), Python 3.12 and torch 2.11 or newer; README.md beside it says how to bring the rest to a bare machine.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gpu_rows import Row, fail, read, table
from verdict import print_machine

LIMITS_S = {"clip_train": 70, "clip_score": 45, "lm_train": 115, "lm_score": 50, "checkpoint": 45}
EARLY_S = {"clip_train": 50, "clip_score": 40, "lm_train": 80, "lm_score": 50, "checkpoint": 45}
_MODELS = "models"
_MODELS_S = 35
"""For making the models; with the parts six minutes, or five for an early look."""
_ENOUGH_ROOM = 32 * 2**30
"""Bytes of shared memory from which models and data are written there."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the parts, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(LIMITS_S), help=f"some of {','.join(LIMITS_S)}")
    parser.add_argument("--early", action="store_true", help="a first look, in five minutes instead of six")
    parser.add_argument("--quick", action="store_true", help="toy sizes on the CPU: whether every part runs")
    parser.add_argument("--limit", type=float, default=1.0, help="factor on every part's time limit")
    parser.add_argument("--folder", type=Path, help="for models and data (about 20 GB); new and removed if not given")
    parser.add_argument("--one", choices=(*LIMITS_S, _MODELS), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        run_one(given)
        return
    parts = given.parts.split(",")
    if unknown := [part for part in parts if part not in LIMITS_S]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(LIMITS_S)}")
    print_machine()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="rayforget-gpu-", dir=roomy_folder()))
    began, rows = time.monotonic(), list[Row]()
    try:
        limits = {_MODELS: _MODELS_S, **(EARLY_S if given.early else LIMITS_S)}
        for part in (_MODELS, *parts):
            shutil.rmtree(folder / part, ignore_errors=True)
            rows += run_part(part, given, folder, limits[part] * given.limit * (5 if given.quick else 1))
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{table(rows)}\n{time.monotonic() - began:.0f} s in all", flush=True)


def roomy_folder() -> str | None:
    """Shared memory if it has room, else where temporary files go."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > _ENOUGH_ROOM else None


def run_part(part: str, given: argparse.Namespace, folder: Path, limit_s: float) -> list[Row]:
    """The rows of one part, as many as it told before its end or its time limit."""
    flags = [f"--{name}" for name in ("early", "quick") if getattr(given, name)]
    command = [sys.executable, __file__, "--one", part, "--folder", str(folder), *flags]
    began, rows = time.monotonic(), []
    print(f"\n{part}, at most {limit_s:.0f} s", flush=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", "KINETO_LOG_LEVEL": "99"}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment, errors="replace"
    )
    watch = Watch(child, limit_s)
    with watch:
        assert child.stdout is not None
        for line in child.stdout:
            row = read(line)
            if row is None:
                print(f"  {line.rstrip()}", flush=True)
                continue
            rows.append(row)
            print(f"  [{time.monotonic() - began:3.0f} s] " + "  ".join(cell for cell in row.cells if cell), flush=True)
        code = child.wait()
    if watch.ended_it:
        fail(part, "the rest", f"the limit of {limit_s:.0f} s")
    elif code:
        fail(part, "the rest", f"exit code {code}")
    return rows


class Watch:
    """Ends a child and its children after a time limit; a context manager."""

    def __init__(self, child: "subprocess.Popen[str]", limit_s: float) -> None:
        self.ended_it = False
        self._child = child
        self._timer = threading.Timer(limit_s, self._end)

    def _end(self) -> None:
        self.ended_it = self._child.poll() is None
        if self.ended_it:
            os.killpg(self._child.pid, signal.SIGKILL)  # its own session: the loader's workers are in it

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)


def run_one(given: argparse.Namespace) -> None:
    """One part in this process."""
    import logging
    import warnings

    import torch
    import transformers
    from gpu_clip import clip_score, clip_train
    from gpu_lm import checkpoint, lm_score, lm_train
    from gpu_models import TOY, VIT_B_16, write_clip, write_lm
    from gpu_run import Run

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]

    def models(run: Run) -> None:  # in a process of its own: a worker sets torch's allocator up before its first tensor
        write_clip(run.folder, run.sizes, run.device)
        write_lm(run.folder, run.sizes, run.device)

    parts: dict[str, Callable[[Run], None]] = {
        _MODELS: models,
        "clip_train": clip_train,
        "clip_score": clip_score,
        "lm_train": lm_train,
        "lm_score": lm_score,
        "checkpoint": checkpoint,
    }
    device = torch.device("cuda" if torch.cuda.is_available() and not given.quick else "cpu")
    card = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    print(f"{card}, torch {torch.__version__}, Python {sys.version.split()[0]}", flush=True)
    if device.type == "cpu" and not given.quick:
        raise SystemExit("there is no GPU here; --quick tries every part at toy sizes on the CPU")
    run = Run(
        part=given.one,
        folder=given.folder,
        sizes=TOY if given.quick else VIT_B_16,
        device=device,
        early=given.early,
        toy=given.quick,
    )
    parts[given.one](run)


if __name__ == "__main__":
    main()
