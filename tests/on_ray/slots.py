"""Jobs for a slot of Ray workers, what they left in the record, and the workers' processes."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import psutil

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.record.weights import load_theta_1
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial
from rayforget.values.records import CheckpointRecord


def new_sweep(space: Space, name: str) -> Sweep:
    info = SweepInfo(name=name, space_name=space.name, created=0.0, space_digest="")
    return Sweep.create(Store.open(space.storage.path), info, space_text="", space=space.model_dump(mode="json"))


def job(name: str, **changed: Any) -> TrialJob:
    base = {"method": "full", "head": "frozen", "learning_rate": 1e-3, "epochs": 4, "batch_size": 8, "seed": 0}
    return TrialJob(name=name, recipe=Recipe.model_validate({**base, **changed}))


def alone(space: Space, name: str, trial: TrialJob) -> list[str | None]:
    """The hashes that equipment in a fresh process arrives at, without Ray."""
    new_sweep(space, name)
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name=name))
    return [record.theta_1_hash for record in run_trial(trial, equipment, lambda *_: None)]


def hashes(sweep: Sweep, trial: str) -> list[str | None]:
    return [sweep.record(trial, step).theta_1_hash for step in sweep.trials()[trial]]


def workers(among: Iterable[psutil.Process] | None = None) -> list[psutil.Process]:
    """The workers of slots, by default of all on this machine."""
    found = []
    for process in psutil.process_iter() if among is None else among:
        with suppress(psutil.NoSuchProcess):
            if any("RayTrainWorker" in part for part in process.cmdline()):
                found.append(process)
    return found


def wait_for(condition: Callable[[], Any], timeout_s: float = 120) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def far_apart(equipment: Equipment, sweep: Sweep, two: CheckpointRecord, one: CheckpointRecord) -> float:
    """Share of the weights that differ by more than 5 % of the largest move.

    Some do: if a gradient is only rounding (a key's bias), Adam makes a whole step of its sign.
    """
    theta_0 = equipment.foundation.theta_0
    ours = load_theta_1(sweep.store, two, theta_0)
    theirs = load_theta_1(equipment.sweep.store, one, theta_0)
    moved = max(float((theirs[key] - theta_0[key]).abs().max()) for key in theta_0)
    far = sum(int(((ours[key] - theirs[key]).abs() > 0.05 * moved).sum()) for key in one.changed)
    return far / sum(theta_0[key].numel() for key in one.changed)


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(call()))
    thread.start()
    return thread, result


def assert_they_listen_on_loopback_alone(number: int) -> None:
    """The workers of a slot on this machine: nobody elsewhere can reach them."""
    found = [process.net_connections() for process in workers()]
    listening = {each.laddr.ip for sockets in found for each in sockets if each.status == psutil.CONN_LISTEN}
    assert len(found) == number
    assert listening
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def worker_of(warm: Any, rank: int) -> psutil.Process:
    import ray

    handle = ray.get(warm._mailbox.pulse.remote()).workers[rank]
    return psutil.Process(ray.get(handle.execute.remote(os.getpid)))


def values_of(record: CheckpointRecord) -> list[tuple[float, dict[str, float]]]:
    return [(point.alpha, {task: score.value for task, score in point.scores.items()}) for point in record.points]
