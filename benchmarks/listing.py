"""A sweep of thousands of trainings that nobody trained: what `list`, `status`, `frontier` and `mirror` take of it.

Each command runs twice in a process of its own: the first time nothing is remembered of the record, the second time the
index beside it is used.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from verdict import print_machine, print_target

from rayforget.frontier.choose import points_to_report
from rayforget.frontier.gather import gather
from rayforget.frontier.points import task_roles
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space
from rayforget.space.shipped import quickstart
from rayforget.values.points import Point, Spot
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score

NAME = "large"
ALPHAS = tuple(round(0.1 * i, 1) for i in range(11))
AT_MOST_S = {"list": 5.0, "status": 5.0, "frontier": 5.0, "mirror": 23.2}
"""Seconds at 3,000 trainings on an idle machine; a fifth of the mirror's before there was an index."""
MEASURED = {"list": "again", "status": "again", "frontier": "again", "mirror": "first"}
"""The attempt that has a target: a mirror that exists has little to write."""
PAGE_MB = 7.0


def main() -> None:
    """Makes the sweep, runs the commands, prints figures and targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--items", type=int, default=300, help="items of each task and split")
    parser.add_argument("--keep", type=Path, help="a folder for the sweep; used as it is if it holds one")
    parser.add_argument("--commands", nargs="*", default=[*AT_MOST_S])
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        if not (folder / NAME).exists():
            start = time.perf_counter()
            make_sweep(folder, options.trials, options.items)
            print(f"{options.trials} trainings made in {time.perf_counter() - start:.0f} s", flush=True)
        for command in options.commands:
            for attempt in ("first", "again"):
                wall, cpu, mib = run(folder, command)
                print(f"{command}, {attempt}: {wall:.1f} s, of them {cpu:.1f} of a core; {mib:.0f} MiB", flush=True)
                if attempt == MEASURED[command]:
                    print_target(f"{command}, {attempt}, seconds", wall, at_most=AT_MOST_S[command])
        page = folder / NAME / "report" / "frontier.html"
        if page.exists():
            print_target("the page, MB", page.stat().st_size / 1e6, at_most=PAGE_MB)


def run(folder: Path, command: str) -> tuple[float, float, float]:
    """Wall seconds, seconds of a core and peak MiB of one command in a process of its own."""
    words = [command, *([] if command == "list" else [NAME]), "--storage", str(folder)]
    code = (
        "import resource, sys; from rayforget.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(done.stderr)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    cpu, memory = done.stderr.split()[-2:]
    return seconds, float(cpu), int(memory) / scale


def make_sweep(folder: Path, trials: int, items: int) -> None:
    """A finished sweep of the quickstart's tasks and methods in `folder`, its scores drawn at random."""
    whole = load_space(quickstart()).space
    search = whole.search.model_copy(update={"trainings": trials})
    storage = whole.storage.model_copy(update={"path": str(folder)})
    space = whole.model_copy(update={"search": search, "storage": storage})
    info = SweepInfo(name=NAME, space_name=space.name, created=time.time(), space_digest="0" * 12)
    sweep = Sweep.create(Store.open(folder), info, space_text="", space=space.model_dump(mode="json"))
    world = {split: World(space, split, items) for split in ("val", "test")}
    models: dict[tuple[str, int, float], tuple[float, float]] = {}
    for record, shifts in records(space, trials, world["val"]):
        sweep.add(record)
        models |= {(record.trial, record.step, alpha): shift for alpha, shift in shifts.items()}
    points = gather(sweep.briefs(), task_roles(space)).points
    for key in (points[i].key for i in points_to_report(points)):
        scores = {Spot(key.alpha): world["test"].scores(models[key[:3]])}
        sweep.add_tests(
            TestRecord(trial=key.trial, step=key.step, theta_1_hash="", scores=scores, finished=time.time())
        )


class World:
    """Items with fixed difficulties, on which all models are scored."""

    def __init__(self, space: Space, split: str, items: int) -> None:
        self._rng = np.random.default_rng(len(split))
        self._split, self._roles = split, task_roles(space)
        self._hard = {role.name: self._rng.logistic(size=items) for role in self._roles}

    def scores(self, shift: tuple[float, float]) -> dict[str, Score]:
        """Scores of a model moved by so many logits in speciality and generality."""
        found = {}
        for role in self._roles:
            hard = self._hard[role.name]
            logits = shift[role.role == "generality"] + self._rng.normal(scale=0.3, size=len(hard)) - hard
            found[role.name] = Score(rule="accuracy", items=logits > 0, items_hash=f"{self._split}/{role.name}")
        return found


def records(
    space: Space, trials: int, world: World
) -> Iterator[tuple[CheckpointRecord, Mapping[float, tuple[float, float]]]]:
    """theta_0, the plain baselines and `trials` trainings of all methods, each with its models' shifts by alpha."""
    rng, methods = np.random.default_rng(1), methods_of(space)
    provenance: dict[str, Any] = {"packages": {f"package-{i}": "1.2.3" for i in range(40)}}

    def made(trial: str, step: int, recipe: Mapping[str, Any], end: tuple[float, float]) -> Any:
        alphas = ALPHAS if step else (0.0,)
        shifts = {a: (end[0] * a**0.8, 1 + end[1] * a**1.7) for a in alphas}
        points = tuple(Point(alpha=a, coarse=True, scores=world.scores(shift)) for a, shift in shifts.items())
        record = CheckpointRecord(
            trial=trial, step=step, fraction=float(step > 0), status="ok", recipe=recipe, points=points,
            theta_0_hash="0" * 64, theta_1_hash="1" * 64, changed=tuple(f"visual.block.{i}.weight" for i in range(40)),
            seconds={"train": 2.0, "evaluate": 1.0}, facts={"final_loss": 0.5}, provenance=provenance,
        )  # fmt: skip
        return replace(record, finished=time.time()), shifts

    yield made("theta_0", 0, {}, (0.0, 0.0))
    for seed in range(space.plain.seeds):
        recipe = plain_of(space).recipe(seed=seed).model_dump(mode="json")
        yield made(f"plain-{seed}", 80, recipe, (1.0 + 0.01 * seed, -1.0))
    fixed = plain_of(space).recipe(seed=0).model_dump(mode="json")
    for i in range(trials):
        recipe = {**fixed, "method": methods[i % len(methods)].name, "learning_rate": float(10 ** rng.uniform(-5, -3))}
        yield made(
            f"{i:04d}-{recipe['method']}", 80, recipe, (float(rng.normal(0.8, 0.3)), float(rng.normal(-0.6, 0.4)))
        )


if __name__ == "__main__":
    main()
