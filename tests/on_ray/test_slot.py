"""A warm slot: nothing leaks from job to job, and every kind of death costs one job or none."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from on_ray.slots import (
    alone,
    assert_they_listen_on_loopback_alone,
    far_apart,
    hashes,
    in_thread,
    job,
    new_sweep,
    values_of,
    wait_for,
    worker_of,
    workers,
)
from plugins.outsiders import install

from rayforget.on_ray.answers import Reply
from rayforget.on_ray.session import ray_session
from rayforget.record.sweep import Sweep
from rayforget.space.models import Space
from rayforget.space.parts import Resources
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    torch.set_num_threads(1)  # as the workers, with which this process's own trainings are compared
    with ray_session(Resources(slots=1, workers_per_slot=2, cpus_per_worker=1), address=None):
        yield
    wait_for(lambda: not workers())


@pytest.fixture
def slot(session: None, space: Callable[..., Space]) -> Iterator[Callable[..., tuple[Any, Sweep, Space]]]:
    from rayforget.on_ray.parcel import Parcel
    from rayforget.on_ray.slot import Slot, SlotSpec
    from rayforget.on_ray.theta_keeper import start_keeper

    class PackingSlot(Slot):
        def run(self, job: Any) -> Reply:
            return super().run(Parcel.of(job))

    started: list[PackingSlot] = []
    keeper = start_keeper()  # every test compares with a model in its process's own memory

    def start(changed: dict[str, Any] | None = None, **resources: Any) -> tuple[Any, Sweep, Space]:
        small = space(resources={"cpus_per_worker": 1, "checkpoint_every_s": 0.2, **resources}, **(changed or {}))
        sweep = new_sweep(small, "warm")
        spec = SlotSpec(
            name=f"slot-{time.time_ns()}",
            equipment=Parcel.of(EquipmentSpec(space=small, sweep_name="warm")),
            resources=small.resources,
            keeper=keeper,
            local=True,
        )
        started.append(PackingSlot(spec))
        return started[-1], sweep, small

    yield start
    for each in started:
        each.close()


def test_the_third_job_of_a_warm_slot_is_the_first_of_a_fresh_one(slot: Any) -> None:
    warm, sweep, space = slot()
    lora = {"kind": "lora", "rank": 2}
    assert warm.run(job("0-lora", method="lora", adapter=lora)).error is None
    assert warm.run(job("1-bf16", precision="bf16")).error is None
    assert warm.run(job("2-fails", learning_rate=1e30, clip_norm=None, weight_decay=0)).error is None
    (failed,) = [sweep.record("2-fails", step) for step in sweep.trials()["2-fails"] if step == 0]
    assert failed.status == "failed"
    assert "not finite" in (failed.reason or "")
    reply = warm.run(job("3-again"))
    assert reply.error is None
    assert hashes(sweep, "3-again") == alone(space, "alone", job("3-again"))
    assert_they_listen_on_loopback_alone(1)


def test_what_a_dead_keeper_kept_is_brought_again(session: None) -> None:
    """One that is not restarted fails every worker that asks; here the next one brings the object anew."""
    import ray
    import torch

    from rayforget.on_ray.shared_theta import share_through
    from rayforget.on_ray.theta_keeper import start_keeper

    keeper = start_keeper()

    def process() -> int:
        return ray.get(keeper.__ray_call__.remote(lambda _: os.getpid()))

    own = {"weight": torch.arange(3.0)}
    first, before = share_through(keeper)("hash", own), process()
    ray.kill(keeper, no_restart=False)
    wait_for(lambda: process() != before)  # it is killed in the background
    again = share_through(keeper)("hash", {"weight": own["weight"] + 1})  # what the next worker loaded
    assert torch.equal(first["weight"], own["weight"])
    assert torch.equal(again["weight"], own["weight"] + 1)


def assert_they_hold_one_theta_0_among_them(warm: Any, theta_0_hash: str) -> None:
    import ray

    def places() -> tuple[str, set[str]]:
        """Run in a worker: theta_0's hash, and the files whose memory holds its tensors and the base model's."""
        import gc

        from rayforget.foundations.clip.prepared import PreparedClip
        from rayforget.interpolate.hashing import state_hash

        (prepared,) = (thing for thing in gc.get_objects() if isinstance(thing, PreparedClip))
        tensors = [*prepared.theta_0.values(), *prepared.model.clip.parameters()]
        found = set()
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, _, _, _, _, *name = line.split()
            low, high = (int(end, 16) for end in span.split("-"))
            if any(low <= tensor.data_ptr() < high for tensor in tensors):
                found.add(name[0] if name else "memory of its own")
        return state_hash(prepared.theta_0), found

    pulse = ray.get(warm._mailbox.pulse.remote())
    found = ray.get([worker.execute.remote(places) for worker in pulse.workers])
    assert len(found) == 2
    for found_hash, files in found:
        assert found_hash == theta_0_hash
        assert len(files) == 1
        assert "plasma" in files.pop()


def test_a_killed_worker_costs_time_and_no_bit_and_what_kills_every_time_is_given_up(slot: Any) -> None:
    warm, sweep, space = slot(max_attempts=2)
    long = job("0-long", epochs=150)
    thread, replies = in_thread(lambda: warm.run(long))
    wait_for(lambda: sweep.resume_folder("0-long").json_files(""))
    (worker,) = workers()
    worker.kill()
    thread.join(timeout=300)
    (reply,) = replies
    assert reply.error is None
    records = [sweep.record("0-long", step) for step in reply.value]
    assert [record.fraction for record in records] == [0.5, 1.0]
    assert records[-1].facts["resumed_from"] > 0
    assert [record.theta_1_hash for record in records] == alone(space, "alone", long)
    assert not sweep.resume_folder("0-long").json_files("")

    thread, replies = in_thread(lambda: warm.run(job("1-poison", epochs=10_000)))
    killed: set[int] = set()

    def kill_a_working_worker() -> bool:
        if sweep.resume_folder("1-poison").json_files(""):
            sweep.drop_resume("1-poison")
            for process in workers():
                if process.pid not in killed:
                    killed.add(process.pid)
                    process.kill()
        return not thread.is_alive()

    wait_for(kill_a_working_worker, timeout_s=400)
    (reply,) = replies
    assert "died 2 times" in reply.error
    assert len(killed) == 2
    assert warm.run(job("2-after")).error is None


def test_what_a_dead_actor_reserved_is_given_back_and_a_living_ones_is_not(session: None) -> None:
    import ray
    from ray.util import placement_group, placement_group_table

    from rayforget.on_ray.placement import remove_orphaned_groups

    @ray.remote(num_cpus=0)
    class Controller:
        def reserve(self, cpus: float) -> str:
            group = placement_group([{"CPU": cpus}])
            ray.get(group.ready())
            return group.id.hex()

    dead, living = Controller.remote(), Controller.remote()
    orphan, cared_for = ray.get([dead.reserve.remote(1.5), living.reserve.remote(0.25)])
    drivers = placement_group([{"CPU": 0.25}])
    ray.get(drivers.ready())
    assert remove_orphaned_groups() == 0
    ray.kill(dead)
    wait_for(lambda: remove_orphaned_groups() == 1)
    states = [placement_group_table()[name]["state"] for name in (orphan, cared_for, drivers.id.hex())]
    assert states == ["REMOVED", "CREATED", "CREATED"]
    ray.kill(living)
    wait_for(remove_orphaned_groups)
    ray.util.remove_placement_group(drivers)


def test_a_job_without_progress_is_ended_and_the_slot_goes_on(slot: Any) -> None:
    warm, sweep, _ = slot(trial_timeout_s=8)
    thread, replies = in_thread(lambda: warm.run(job("0-stuck", epochs=10_000)))
    wait_for(lambda: sweep.resume_folder("0-stuck").json_files(""))
    (worker,) = workers()
    os.kill(worker.pid, signal.SIGSTOP)
    thread.join(timeout=120)
    (reply,) = replies
    assert "no progress for" in reply.error
    assert any(stage in reply.error for stage in ("train", "save the state"))  # wherever the signal met it
    assert warm.run(job("1-after")).error is None
    assert worker.pid not in {process.pid for process in workers()}


def assert_either_killed_costs_no_bit(warm: Any, sweep: Sweep) -> None:
    long = {"epochs": 60}
    assert warm.run(job("4-whole", **long)).error is None
    for rank in (0, 1):
        name = f"4-hurt-{rank}"
        thread, replies = in_thread(lambda name=name: warm.run(job(name, **long)))  # type: ignore[misc]
        wait_for(lambda name=name: sweep.resume_folder(name).json_files(""))  # type: ignore[misc]
        killed = worker_of(warm, rank)
        killed.kill()
        thread.join(timeout=300)
        (reply,) = replies
        assert reply.error is None
        assert killed.pid not in {process.pid for process in workers()}
        assert reply.value == sweep.trials()["4-whole"]
        whole, hurt = ([sweep.record(trial, step) for step in reply.value] for trial in ("4-whole", name))
        assert hurt[-1].facts["resumed_from"] > 0
        assert [record.theta_1_hash for record in hurt] == [record.theta_1_hash for record in whole]
        assert [values_of(record) for record in hurt] == [values_of(record) for record in whole]
        assert not sweep.resume_folder(name).json_files("")


def assert_what_kills_one_at_every_attempt_fails_with_what_the_other_said(warm: Any, sweep: Sweep) -> None:
    thread, replies = in_thread(lambda: warm.run(job("5-poison", epochs=10_000)))
    killed: set[int] = set()

    def kill_one_that_trains() -> bool:
        if sweep.resume_folder("5-poison").json_files(""):
            sweep.drop_resume("5-poison")
            worker = worker_of(warm, 1)
            killed.add(worker.pid)
            worker.kill()
        return not thread.is_alive()

    wait_for(kill_one_that_trains, timeout_s=400)
    (reply,) = replies
    assert not reply.refused
    assert "died 2 times on this job" in reply.error
    assert "rank 0: RuntimeError: " in reply.error
    assert "rank 1 said nothing" in reply.error
    assert len(killed) == 2
    assert warm.run(job("6-after")).error is None


def test_two_workers_train_what_one_trains_share_theta_0_and_outlive_what_kills_either(slot: Any) -> None:
    warm, sweep, space = slot(workers_per_slot=2, max_attempts=2)
    assert warm.run(job("0-fails", learning_rate=1e30, clip_norm=None, weight_decay=0)).error is None
    assert sweep.record("0-fails", 0).status == "failed"
    lora = {"kind": "lora", "rank": 2}
    for name, changed in (("1-full", {}), ("2-lora", {"adapter": lora}), ("3-kd", {"penalties": [KD]})):
        assert warm.run(job(name, **changed)).error is None
        new_sweep(space, name)
        equipment = Equipment.open(EquipmentSpec(space=space, sweep_name=name))
        run_trial(job(name, **changed), equipment, lambda *_: None)
        for step in sweep.trials()[name]:
            two, one = sweep.record(name, step), equipment.sweep.record(name, step)
            assert two.facts["loss"] == pytest.approx(one.facts["loss"], rel=1e-3)
            assert far_apart(equipment, sweep, two, one) < 0.01
    assert_they_listen_on_loopback_alone(2)
    assert_they_hold_one_theta_0_among_them(warm, sweep.record("theta_0", 0).theta_0_hash)
    assert_either_killed_costs_no_bit(warm, sweep)
    assert_what_kills_one_at_every_attempt_fails_with_what_the_other_said(warm, sweep)


KD = {"kind": "kd", "strength": 0.5}


HUBER = {"kind": "huber", "width": 1e-3, "strength": 1}
PIXELS = {
    "foundation": {"kind": "pixels", "model": "random", "classes": 3},
    "recipe": {"learning_rate": 1e-3, "epochs": 1, "batch_size": 8},
    "methods": {"full": {}},
}


@pytest.mark.parametrize(
    ("package", "changed", "trained", "lacking"),
    [
        (
            "huber",
            {"methods": {"bent": {"penalties": [HUBER]}}},
            {"penalties": [HUBER]},
            'penalties.0.kind: found "huber"; known here: ewc, kd, l1',
        ),
        ("pixels", PIXELS, {}, "there is no foundation 'pixels' here (there are: clip, causal_lm); a package"),
    ],
)
def test_a_node_that_lacks_a_package_says_so_in_one_line(
    slot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    changed: dict[str, Any],
    trained: dict[str, Any],
    lacking: str,
) -> None:
    (tmp_path / "site").mkdir()
    install(package, tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")  # here alone: the workers were given the path as it was
    warm, _, _ = slot(changed, max_attempts=1)
    reply = warm.run(job("0-plain", **trained))
    assert reply.refused
    assert reply.error.startswith("a worker could not be set up: SpaceError: node ")
    assert f"lacks what the space names: {lacking}" in reply.error
    assert len(reply.error.splitlines()) == 1
