"""The quickstart sweep as a user runs it: wall time and peak memory of the whole process tree.

Memory is read every ten seconds; reading it takes a second of a core for forty processes. A page that several processes
share is counted once for each (resident set size), so the sum is an upper bound; if the system tells it, the sum of
proportional shares is printed too.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
from verdict import print_machine, print_target

from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep

LIMIT_S = 300.0
NAME = "quickstart"


@dataclass(slots=True, kw_only=True)
class Peak:
    """Peak memory so far, in bytes."""

    together: int = 0
    """Resident memory of all processes together."""
    shared_once: int = 0
    """The same with every shared page counted once; 0 if the system does not tell."""
    processes: int = 0
    """Largest number of processes at a time."""
    largest: dict[str, int] = field(default_factory=dict)
    """Kind of process -> the peak of one of them."""

    def look(self, root: psutil.Process) -> None:
        """Reads the memory of a process and all its descendants."""
        together, shared_once, processes = 0, 0, 0
        with suppress(psutil.NoSuchProcess):
            for process in (root, *root.children(recursive=True)):
                # Processes may end while they are looked at.
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    resident = process.memory_info().rss
                    together += resident
                    processes += 1
                    shared_once += int(getattr(process.memory_full_info(), "pss", 0))
                    kind = kind_of(process, root)
                    self.largest[kind] = max(self.largest.get(kind, 0), resident)
        self.together = max(self.together, together)
        self.shared_once = max(self.shared_once, shared_once)
        self.processes = max(self.processes, processes)


def kind_of(process: psutil.Process, root: psutil.Process) -> str:
    """The kind of a process, in a few words: `the driver`, `ray::RayTrainWorker`, `raylet`."""
    if process.pid == root.pid:
        return "the driver"
    command: list[str] = process.cmdline()
    first = command[0] if command else process.name()
    if first.startswith("ray::"):
        return first.split("(")[0].split(".")[0].strip()
    script = next((part for part in command[1:] if part.endswith(".py")), None)
    return Path(script or first.split()[0]).name


def run(command: Sequence[str], every_s: float) -> tuple[int, float, Peak]:
    """Exit code, seconds and peak memory of a command; its output goes where ours goes."""
    began = time.monotonic()
    child = subprocess.Popen(command)
    root, peak = psutil.Process(child.pid), Peak()
    try:
        while child.poll() is None:
            peak.look(root)
            time.sleep(every_s)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait(timeout=60)
    return child.returncode, time.monotonic() - began, peak


def print_record(storage: Path) -> None:
    """Prints how much the sweep did."""
    records = [record for record in Sweep.open(Store.open(str(storage)), NAME).records() if record.recipe]
    trained = {record.trial for record in records}
    failed = {record.trial for record in records if record.status == "failed"}
    baselines = {record.trial for record in records if record.recipe["method"] == "plain"}
    print(
        f"trainings: {len(trained)} ({len(trained - baselines)} of the search, {len(baselines)} baselines; "
        f"{len(failed)} failed), checkpoints: {len(records)}, points: {sum(len(record.points) for record in records)}"
    )
    for stage in ("train", "evaluate", "save"):
        spent = sum(record.seconds.get(stage, 0.0) for record in records)
        print(f"  seconds in {stage}, all trainings together: {spent:.1f}")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--space", type=Path, help="another space file than the shipped quickstart")
    parser.add_argument("--trials", type=int, help="other than the space's number of trainings")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks at the memory")
    given = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="rayforget-quickstart-") as folder:
        command = [sys.executable, "-m", "rayforget.cli", "sweep"]
        command += [str(given.space)] if given.space else []
        command += ["--trials", str(given.trials)] if given.trials else []
        code, wall_s, peak = run([*command, "--name", NAME, "--storage", folder], given.every)
        print(f"\nexit code {code}, wall time {wall_s:.1f} s, everything included")
        if code == 0:
            print_record(Path(folder))
    print(f"peak memory of {peak.processes} processes or fewer: {peak.together / 2**30:.2f} GiB resident in sum")
    if peak.shared_once:
        print(f"  with shared pages counted once: {peak.shared_once / 2**30:.2f} GiB")
    for kind, most in sorted(peak.largest.items(), key=lambda item: -item[1])[:5]:
        print(f"  the largest {kind}: {most / 2**30:.2f} GiB")
    if code != 0:
        print("the sweep did not end well: no figure of it counts")
    print_target("minutes of wall time", wall_s / 60 if code == 0 else float("inf"), at_most=LIMIT_S / 60)


if __name__ == "__main__":
    main()
