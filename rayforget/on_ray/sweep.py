"""A loaded space and a sweep's record -> the sweep, run to its end by Ray Tune over warm slots."""

import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rayforget.errors import SpaceError
from rayforget.extensions.use import blame
from rayforget.on_ray.cluster_size import cluster_nodes, nodes_now, slots_that_fit
from rayforget.on_ray.session import prepare_environment, ray_session
from rayforget.record.failure import failed_record
from rayforget.record.jobs import TrialJob
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.space.parts import Resources
from rayforget.trial.equipment_spec import EquipmentSpec

if TYPE_CHECKING:
    from ray.tune import Tuner

    from rayforget.on_ray.searcher import SharedSearch

logger = logging.getLogger(__name__)

AfterJob = Callable[[NamedJob], float | None]
"""Called in the driver after each finished job, once its result is in the agenda; returns the share recovered so far on
`val`, None while it is not defined."""


def run_sweep(
    agenda: Agenda,
    *,
    address: str | None = None,
    verbose: bool = False,
    started: Callable[[str], None] = lambda dashboard: None,
    interrupted: Callable[[], None] = lambda: None,
    after: AfterJob = lambda _: None,
) -> bool:
    """Runs what is left on the agenda.

    Args:
        agenda: fresh, or replayed from the record.
        address: a running Ray cluster's; None starts Ray on this machine alone.
        verbose: lets Ray's own messages through.
        started: called with the dashboard's URL when Ray is up.
        interrupted: called at once on a Ctrl-C that Tune handles, which takes some seconds.
        after: called after each job, in the driver.

    Returns:
        Whether the agenda came to its end. False: interrupted, or `agenda.halted` says what went wrong.

    Raises:
        RayforgetError: nothing could be started.
    """
    prepare_environment()
    resources = agenda.space.resources
    with ray_session(resources, address=address, verbose=verbose) as dashboard:
        from rayforget.on_ray.gauges import SweepGauges
        from rayforget.on_ray.interrupts import hear_first
        from rayforget.on_ray.searcher import SharedSearch

        started(dashboard)
        slots = _affordable_slots(resources, local=address is None)
        gauges = SweepGauges(agenda.sweep.info.name)
        shared = SharedSearch(
            agenda=agenda,
            done=lambda job, result: _take_back(agenda, job, result, lambda named: gauges.show(agenda, after(named))),
            tune_is_up=lambda: hear_first(interrupted),
        )
        try:
            _tuner(shared, slots, local=address is None).fit()
        except Exception as error:  # any error ends the sweep, and what is recorded has to be reported
            _break_off(agenda, shared.errors[0] if shared.errors else error)
    return agenda.finished


def _tuner(shared: "SharedSearch", slots: int, *, local: bool) -> "Tuner":
    from ray import tune
    from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE

    from rayforget.on_ray.parcel import Parcel
    from rayforget.on_ray.placement import ON_HEAD
    from rayforget.on_ray.ray_state import IN_MEMORY
    from rayforget.on_ray.searcher import AgendaSearcher, EndOfWait
    from rayforget.on_ray.slot import SlotSpec
    from rayforget.on_ray.theta_keeper import start_keeper
    from rayforget.on_ray.trainable import SlotTrainable

    # Tune would put keys into the actors' runtime environments, which logs repeat. Workers of this machine inherit
    # them from the driver; a cluster's nodes have their own.
    ENV_VARS_TO_PROPAGATE.difference_update([name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")])
    space, name = shared.agenda.space, shared.agenda.sweep.info.name
    fence = shared.agenda.sweep.store.fence
    spec = SlotSpec(
        name=f"slot-{name}",
        equipment=Parcel.of(EquipmentSpec(space=space, sweep_name=name, token=None if fence is None else fence.token)),
        resources=space.resources,
        keeper=start_keeper() if slots * space.resources.workers_per_slot > 1 else None,
        local=local,
    )
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(SlotTrainable, spec=spec), ON_HEAD),
        tune_config=tune.TuneConfig(
            search_alg=AgendaSearcher(shared),
            num_samples=-1,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"{name}-{uuid.uuid4().hex[:8]}",
            storage_path="/ray",
            storage_filesystem=IN_MEMORY,
            stop=EndOfWait(shared),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=2),
        ),
    )


def _break_off(agenda: Agenda, error: Exception) -> None:
    """Halts the agenda after an error in this process: a full disk, a storage that does not answer, Ray itself."""
    logger.info("the sweep breaks off", exc_info=error)
    if agenda.halted is None:  # otherwise that is why Tune gave up
        agenda.halted = _in_words(error)


def _in_words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return blame(error) or f"{type(error).__name__}: {lines[0] if lines else 'no reason given'} (--verbose shows where)"


def _take_back(
    agenda: Agenda, named: NamedJob, result: dict[str, Any] | None, after: Callable[[NamedJob], None]
) -> None:
    """`_finish`, of which an error halts the sweep: Tune would print a traceback and do the whole job again."""
    try:
        _finish(agenda, named, result, after)
    except Exception as error:  # of the storage, or of what lies in it
        logger.info("the result of %s cannot be taken", named.name, exc_info=error)
        agenda.halt(named.name, agenda.halted or _in_words(error))


def _finish(agenda: Agenda, named: NamedJob, result: dict[str, Any] | None, after: Callable[[NamedJob], None]) -> None:
    """Takes a job's result, and records a failure that no worker could record.

    A job that no worker came to work on, or that data or storage failed, stays unrecorded, since that tells nothing
    about the recipe. The sweep halts, and `--resume` takes the job up.

    Tune gives a trial up when the slot's own actor dies with two calls under way, the reset and the next job, whatever
    `max_failures` is: such a job is handed out again.
    """
    if result is None:
        if agenda.hand_out_again(named.name):
            return
        agenda.halt(named.name, f"{named.name}: its slot was lost again and again; see --verbose")
    elif result["refused"]:
        agenda.halt(named.name, f"{named.name}: {result['error']}")
    elif result["error"] is None:
        agenda.done(named.name, result["value"])
    elif isinstance(named.job, TrialJob):
        if not agenda.sweep.has(named.name, 0):
            agenda.sweep.add(failed_record(named.job, result["error"], agenda.sweep.info.theta_0_hash or ""))
        agenda.sweep.drop_resume(named.name)
        agenda.done(named.name, agenda.sweep.trials()[named.name])
    else:
        agenda.halt(named.name, f"scoring on test failed: {result['error']}")
    after(named)


def _affordable_slots(resources: Resources, *, local: bool) -> int:
    """As many slots as the cluster can hold at once: one more would wait for its workers for ever.

    Raises:
        SpaceError: this machine cannot hold one.
    """
    import ray

    fitting = slots_that_fit(nodes_now(), resources)
    if fitting == 0 and local:
        raise SpaceError(
            f"a slot takes {resources.workers_per_slot} workers of {resources.cpus_per_worker:g} CPUs and "
            f"{resources.gpus_per_worker:g} GPUs, this machine has {ray.cluster_resources().get('GPU', 0):g} GPUs; "  # type: ignore[no-untyped-call]
            "set resources.gpus_per_worker or workers_per_slot"
        )
    if not local:
        fitting = max(fitting, slots_that_fit(cluster_nodes(resources), resources))
    if fitting < resources.slots:
        logger.warning("the cluster holds %d of %d slots; running with %d", fitting, resources.slots, fitting or 1)
    return min(resources.slots, max(1, fitting))
