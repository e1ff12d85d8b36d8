"""Tune itself with a slot that waits: one trial for the whole wait, the same actors, and the next job soon."""

from pathlib import Path
from typing import Any

import pytest
from toy_agenda import do_job, toy_agenda

from rayforget.on_ray.session import ray_session
from rayforget.search.agenda import NamedJob
from rayforget.space.parts import Resources

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(300)]

LONG_S = 11.0
"""How long the last training takes, while the other slot waits for it."""
TEST_S = 6.0
"""How long scores on `test` take."""
SOON_S = 5.0
"""Time until the waiting slot starts its job: a nap, and Tune's own loop on a busy machine."""


def test_a_wait_is_one_trial_and_ends_soon_when_there_is_work(tmp_path: Path) -> None:
    with ray_session(Resources(slots=2, cpus_per_worker=1), address=None):
        from ray import tune

        from rayforget.on_ray.answers import Reply
        from rayforget.on_ray.gauges import SlotGauge
        from rayforget.on_ray.parcel import Parcel
        from rayforget.on_ray.placement import ON_HEAD
        from rayforget.on_ray.ray_state import IN_MEMORY
        from rayforget.on_ray.searcher import AgendaSearcher, EndOfWait, SharedSearch
        from rayforget.on_ray.trainable import SlotTrainable

        class Workers:
            """Replaces a worker group: sleeps, and tells in which process, from when and until when.

            The first two trainings wait for each other; otherwise one slot would do all while the other one starts.
            """

            def run(self, job: Parcel[Any]) -> Reply:
                import os
                import time

                start = time.time()
                name = getattr(job.unpacked(), "name", "test")
                (tmp_path / f"began {name}").touch()
                while name < "0002" and len(list(tmp_path.glob("began *"))) < 2:
                    time.sleep(0.05)
                time.sleep(LONG_S if name.startswith("0002") else TEST_S * (name == "test"))
                return Reply(value=(os.getpid(), start, time.time()))

            def close(self) -> None:
                """Nothing runs."""

        class WithoutWorkers(SlotTrainable):
            def setup(self, config: dict[str, Any], spec: None) -> None:  # type: ignore[override]
                self._job, self._gauge = config["job"], SlotGauge("t")
                self._slot = Workers()  # type: ignore[assignment]

        plan = toy_agenda(tmp_path, slots=2)
        ended: dict[str, tuple[int, float, float]] = {}

        def done(named: NamedJob, result: Any) -> None:
            ended[named.name] = result["value"]
            do_job(plan, named)

        shared = SharedSearch(agenda=plan, done=done)
        trials = tune.Tuner(
            tune.with_resources(tune.with_parameters(WithoutWorkers, spec=None), ON_HEAD),
            tune_config=tune.TuneConfig(
                search_alg=AgendaSearcher(shared), num_samples=-1, max_concurrent_trials=2, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="t",
                storage_path="/ray",
                storage_filesystem=IN_MEMORY,
                verbose=0,
                stop=EndOfWait(shared),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()
    assert not shared.errors
    assert plan.finished
    assert sorted(ended) == ["0000-plain", "0001-full", "0002-full", "test-0", "test-1"]
    waits = len(trials) - len(ended)
    assert waits in (1, 2)  # for the last training, and perhaps for the other slot's scores
    assert len({process for process, _, _ in ended.values()}) == 2
    assert ended["test-0"][0] != ended["test-1"][0]
    late = [ended[test][1] - ended["0002-full"][2] for test in ("test-0", "test-1")]
    assert max(late) < SOON_S, (late, ended)
