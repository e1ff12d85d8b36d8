"""Equal trials through a warm slot, against the same trials each with its own TorchTrainer inside a Tune function.

The warm side is `rayforget sweep` itself, run as a command. The other side is the pattern of Ray's own guide ("Ray
Train with Ray Tune"): a Tune function that builds and fits a TorchTrainer, whose worker calls the same function as a
slot's worker, on the same model, data and recipe. It runs second and so finds the images decoded and theta_0's scores
measured. Trials are small (the training and one point), so that their overhead shows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from verdict import print_machine, print_target

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo, space_digest
from rayforget.space.methods import plain_of
from rayforget.space.models import Space
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.values.records import CheckpointRecord

WARM, COLD = "warm", "cold"
RECIPE = {"head": "frozen", "learning_rate": 1e-4, "batch_size": 64}


def tasks() -> dict[str, Any]:
    """The built-in world's pictures: 512 to learn, twice 256 to score."""
    template = {"kind": "zero_shot", "templates": ["a photo of a {}"]}

    def world(split: str, seed: int, count: int) -> dict[str, Any]:
        return {"kind": "world", "style": "all", "split": split, "count": count, "seed": seed}

    learnt = {"train": world("train", 0, 512), "val": world("val", 0, 256), "test": world("test", 0, 256)}
    kept = {"val": world("val", 1, 256), "test": world("test", 1, 256)}
    return {
        "speciality": {**template, "role": "speciality", **learnt},
        "generality": {**template, "role": "generality", "group": "distribution", **kept},
    }


def space_of(folder: Path, trials: int, epochs: int, cpus: float) -> Space:
    """Equal trainings: one is the baseline, the others are a method without any change."""
    tree = {
        "name": "warm_slot",
        "foundation": {"kind": "clip", "model": "builtin"},
        "tasks": tasks(),
        "recipe": {**RECIPE, "epochs": epochs},
        "methods": {"full": {}},
        "plain": {"seeds": 1},
        "search": {"trainings": trials - 1, "seed": 0},
        "curve": {"coarse": [0.0, 1.0], "refine": 0},
        "resources": {"cpus_per_worker": cpus},
        "storage": {"path": str(folder)},
        "tracking": {"enabled": False},
    }
    return Space.model_validate_json(json.dumps(tree))


def run_warm(space: Space, folder: Path) -> float:
    """Runs `rayforget sweep` on these trials; returns when it began."""
    file = folder / "space.yaml"
    tree = space.model_dump(mode="json", exclude_defaults=True)
    file.write_text(json.dumps(tree))  # JSON is YAML
    began = time.time()
    command = [sys.executable, "-m", "rayforget.cli", "sweep", str(file), "--name", WARM, "--storage", str(folder)]
    subprocess.run(command, check=True)
    return began


def worker(config: dict[str, Any]) -> None:
    """Run by Ray Train for each trial: sets everything up and does one job, as a slot's worker does."""
    import torch

    from rayforget.on_ray.worker import run_job

    torch.set_num_threads(config["threads"])
    run_job(config["job"], Equipment.open(config["equipment"]), lambda stage, done, total: None)


def run_cold(space: Space, trials: int) -> float:
    """Runs the same trials, each with its own TorchTrainer inside a Tune function; returns when it began."""
    from rayforget.on_ray.session import ray_session

    os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "1"  # the guide's default, which our sweeps turn off
    resolved = space.model_dump(mode="json")
    info = SweepInfo(name=COLD, space_name=space.name, created=time.time(), space_digest=space_digest(resolved))
    Sweep.create(Store.open(space.storage.path), info, space_text="", space=resolved)
    recipe = plain_of(space).recipe({}, seed=0)
    jobs = [TrialJob(name=f"{number:04d}-plain", recipe=recipe) for number in range(trials)]
    cpus = space.resources.cpus_per_worker
    own = {"equipment": EquipmentSpec(space=space, sweep_name=COLD), "threads": max(1, int(cpus))}
    storage = str(Path(space.storage.path) / COLD / "ray")
    began = time.time()
    with ray_session(space.resources, address=None):
        from ray import train, tune
        from ray.train.torch import TorchTrainer

        def train_driver(config: dict[str, Any]) -> None:
            TorchTrainer(
                worker,
                train_loop_config={**own, "job": config["job"]},
                scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": cpus}),
                run_config=train.RunConfig(name=config["job"].name, storage_path=storage),
            ).fit()

        # The guide's drivers take a whole CPU each; with 0.01 they cannot starve the worker on a small machine.
        tuner = tune.Tuner(
            tune.with_resources(train_driver, {"CPU": 0.01}),
            param_space={"job": tune.grid_search(jobs)},
            tune_config=tune.TuneConfig(max_concurrent_trials=1),
            run_config=tune.RunConfig(name="tune", storage_path=storage, verbose=0),
        )
        results = tuner.fit()
    if results.errors:
        raise RuntimeError(f"a trial with its own TorchTrainer failed: {results.errors[0]}")
    return began


def records_of(folder: Path, name: str) -> list[CheckpointRecord]:
    """The trials' records in the order in which they finished."""
    found = [record for record in Sweep.open(Store.open(str(folder)), name).records() if record.recipe]
    failed = [record.reason for record in found if record.status == "failed"]
    if failed:
        raise RuntimeError(f"{len(failed)} trials of {name} failed: {failed[0]}")
    return sorted(found, key=lambda record: record.finished)


def work(record: CheckpointRecord) -> float:
    """Seconds of a trial's training and evaluation."""
    return record.seconds["train"] + record.seconds["evaluate"]


def report(title: str, records: Sequence[CheckpointRecord], began: float) -> tuple[float, float]:
    """Prints one side; returns its seconds per further trial, and how many of them are overhead."""
    further = [(later.finished - earlier.finished, work(later)) for earlier, later in pairwise(records)]
    wall = statistics.mean(seconds for seconds, _ in further)
    beyond = [seconds - worked for seconds, worked in further]
    print(f"\n{title}: {len(records)} trials")
    print(f"  total, from the start to the end of the last trial: {records[-1].finished - began:.2f} s")
    print(f"  the first trial, start-up included: {records[0].finished - began:.2f} s")
    print(f"  wall time per further trial: {wall:.2f} s on average")
    training = statistics.mean(record.seconds["train"] for record in records[1:])
    evaluation = statistics.mean(record.seconds["evaluate"] for record in records[1:])
    print(f"  of which training {training:.2f} s, evaluation {evaluation:.2f} s")
    print(
        f"  beyond training and evaluation: {statistics.median(beyond):.3f} s (median; "
        f"{min(beyond):.3f} to {max(beyond):.3f})",
        flush=True,
    )
    return wall, statistics.median(beyond)


def module_seconds(space: Space) -> float:
    """Seconds to make a trial's fresh module and optimiser, which the record counts as training."""
    import torch

    from rayforget.train.trainer import Trainer

    torch.set_num_threads(max(1, int(space.resources.cpus_per_worker)))
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name=WARM))
    recipe, times = plain_of(space).recipe({}, seed=0), []
    for _ in range(5):
        began = time.perf_counter()
        Trainer(equipment.foundation.learner(recipe), recipe, seed=0)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--trials", type=int, default=8, help="equal trials on each side, at least 2")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training set; set for about 2 s")
    parser.add_argument("--cpus", type=float, default=1, help="CPUs and torch threads of a worker")
    given = parser.parse_args()
    if given.trials < 2:
        parser.error(f"--trials must be at least 2, for there to be a further trial; got {given.trials}")
    print_machine(max(1, int(given.cpus)))
    with tempfile.TemporaryDirectory(prefix="rayforget-slot-") as temporary:
        folder = Path(temporary)
        space = space_of(folder, given.trials, given.epochs, given.cpus)
        began_warm = run_warm(space, folder)
        warm = records_of(folder, WARM)
        warm_wall, overhead = report("one warm slot", warm, began_warm)
        began_cold = run_cold(space, given.trials)
        cold = records_of(folder, COLD)
        cold_wall, _ = report("a TorchTrainer for each trial, inside a Tune function", cold, began_cold)
        building = module_seconds(space)
    total = (cold[-1].finished - began_cold) / (warm[-1].finished - began_warm)
    print(f"\ntotals, own trainers over warm slot: {total:.2f}")
    print_target("wall time per further trial, own trainers over warm slot", cold_wall / warm_wall, at_least=10)
    print_target("seconds of one more trial beyond its training and evaluation", overhead, at_most=0.3)
    print(f"  (its fresh module and optimiser, counted as training, take another {building:.3f} s)")


if __name__ == "__main__":
    main()
