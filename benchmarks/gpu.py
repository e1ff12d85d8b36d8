"""What a sweep does on a GPU, beside what others do there: training, scoring, and the time between two trainings.

Each part runs in a process of its own with its own time limit, longer if earlier parts left some of theirs; its figures
are printed as they come, and once more in one table at the end. Models have random weights, made on the device. It
needs the core alone (no Ray, MLflow, Optuna or lm-eval), Python 3.12 and torch 2.11 or newer; README.md beside it says
how to bring the rest to a bare machine.
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

LIMITS_S = {"bits": 40, "clip_train": 65, "clip_score": 35, "lm_train": 100, "lm_score": 60, "checkpoint": 40}
EARLY_S = {"bits": 30, "clip_train": 45, "clip_score": 35, "lm_train": 75, "lm_score": 45, "checkpoint": 35}
_MODELS = "models"
_MODULES = {
    _MODELS: "gpu_models",
    "bits": "gpu_bits",
    **dict.fromkeys(("clip_train", "clip_score"), "gpu_clip"),
    **dict.fromkeys(("lm_train", "lm_score", "checkpoint"), "gpu_lm"),
}
"""Part -> the module that has it as a function of a `gpu_run.Run`."""
_MODELS_S = 35
"""For making the models; with the parts six and a quarter minutes, or five for an early look."""
_LEAST = 0.6
"""Share of its limit that earlier parts leave to each part, however long they take."""
_ENOUGH_ROOM = 32 * 2**30
"""Bytes of shared memory from which models and data are written there."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the parts, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(LIMITS_S), help=f"some of {','.join(LIMITS_S)}")
    parser.add_argument("--early", action="store_true", help="a first look, in five minutes instead of a good six")
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
        factor = given.limit * (5 if given.quick else 1)
        whole = [limits[part] * factor for part in (_MODELS, *parts)]
        for number, part in enumerate((_MODELS, *parts)):
            shutil.rmtree(folder / part, ignore_errors=True)
            rows += run_part(part, given, folder, limit_of(number, whole, time.monotonic() - began))
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{table(rows)}\n{time.monotonic() - began:.0f} s in all", flush=True)


def limit_of(number: int, limits: Sequence[float], elapsed_s: float) -> float:
    """Seconds for a part: all that is left, but for a share of each later part's own limit.

    A part that is slow at first (a cold disk) thus ends none of its figures while others have time to spare, and all
    parts together keep to the sum of their limits.

    Args:
        number: the part's.
        limits: of all parts.
        elapsed_s: since the first began.
    """
    left = sum(limits) - elapsed_s - _LEAST * sum(limits[number + 1 :])
    return max(left, _LEAST * limits[number])


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
    """One part in this process; what only other parts need is not imported."""
    import logging
    import warnings
    from importlib import import_module

    import torch
    import transformers
    from gpu_models import TOY, VIT_B_16
    from gpu_run import Run

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]
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
    part: Callable[[Run], None] = getattr(import_module(_MODULES[given.one]), given.one)
    part(run)


if __name__ == "__main__":
    main()
