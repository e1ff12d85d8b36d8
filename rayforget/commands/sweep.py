"""A space file, or a sweep to go on with -> a finished sweep, shown while it runs and reported when it ends."""

from collections.abc import Sequence
from contextlib import suppress
from signal import default_int_handler

from rich.console import Console

from rayforget.commands.interrupts import interrupts_restored, on_interrupt
from rayforget.commands.larger_budget import with_budget
from rayforget.commands.last_words import last_words
from rayforget.commands.reporting import report_on
from rayforget.errors import RecordError
from rayforget.foundations.kind import kind_of
from rayforget.foundations.revisions import pin_foundation
from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.choose import choose_frontier
from rayforget.frontier.points import THETA_0
from rayforget.frontier.progress import recovered_now
from rayforget.planning.cache_check import check_cache
from rayforget.planning.foundation_check import check_foundation, check_gpus
from rayforget.printable import one_line
from rayforget.record.cache_folder import cache_folder
from rayforget.record.command import command, resuming
from rayforget.record.creation import create_sweep
from rayforget.record.gpu_budget import note_gpu_hours
from rayforget.record.housekeeping import tidy_weights
from rayforget.record.jobs import TrialJob
from rayforget.record.named_in import named_in
from rayforget.record.packages import changed_extensions
from rayforget.record.second_tries import may_be_tried_again, set_aside_failures
from rayforget.record.space_of import space_here
from rayforget.record.standing import is_finished
from rayforget.record.storage.driver_lock import sole_driver
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.mirror_thread import mirror_thread
from rayforget.report.present import mark_stale
from rayforget.report.terminal.live import LiveView, Progress, open_console
from rayforget.report.terminal.log import log_to
from rayforget.report.words.gpu_hours import ended_by_budget
from rayforget.report.words.precision import precision_words
from rayforget.report.words.remarks import tried_again_notice
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.search.study import CurveStudy
from rayforget.space.file.extension_places import naming_their_lines
from rayforget.space.file.load import LoadedSpace
from rayforget.space.given_space import GivenSpace
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.space.paths import is_uri
from rayforget.tasks.check import check_data, check_tasks
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.revisions import pin_revisions

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def start_sweep(loaded: LoadedSpace, *, name: str | None, address: str | None, verbose: bool) -> int:
    """Checks model and data, opens the record and runs the sweep; returns the exit code.

    Raises:
        SpaceError: model, machine or data do not fit the space; only hashes of what was read were written.
        RecordError: the name is taken.
    """
    with naming_their_lines(loaded.document):
        space = _checked(loaded, address)
    sweep = create_sweep(space, text=loaded.text, name=name)
    return _run(space, sweep, address=address, verbose=verbose)


def _checked(loaded: LoadedSpace, address: str | None) -> Space:
    """The space with model and data pinned to the versions that were found."""
    check_foundation(loaded)
    if address is None:
        check_cache(loaded)
        check_gpus(loaded.space.resources, f"{loaded.where('resources.gpus_per_worker')}: ")
    else:
        check_storage(loaded.space, address, f"{loaded.where('storage.path')}: ")
    cache = cache_folder(loaded.space)
    tasks = check_data(loaded, cache=cache, hashes=HashStore.in_cache(cache))
    return pin_foundation(pin_revisions(loaded.space, tasks))


def check_storage(space: Space, address: str, where: str = "") -> None:
    """Refuses a storage folder that would be a different one on each node of the cluster; asks the cluster if need be.

    Raises:
        SpaceError: the cluster has, or may get, more than one node.
        RayforgetError: there is no such cluster.
    """
    if space.storage.shared or is_uri(space.storage.path):
        return
    from rayforget.on_ray.cluster_size import cluster_nodes, refuse_private_storage
    from rayforget.on_ray.session import ray_session

    with ray_session(space.resources, address=address):
        refuse_private_storage(space.storage.path, len(cluster_nodes(space.resources)), where)


def resume_sweep(name: str, storage: str, overrides: Sequence[str], *, address: str | None, verbose: bool) -> int:
    """Goes on with a sweep from its record, of trainings or of given models; returns the exit code.

    Raises:
        RecordError: there is no such sweep.
        SpaceError: something other than a larger budget is overridden, this machine lacks GPUs, or the cluster's nodes
            do not share the storage.
        FoundationError: the model is missing.
    """
    sweep = Sweep.open(Store.open(storage), name)
    space = space_here(sweep, storage)
    if isinstance(space, GivenSpace):
        from rayforget.commands.interpolate import resume_models

        return resume_models(sweep, space, overrides, address=address, verbose=verbose)
    space = with_budget(space, overrides)
    kind_of(space.foundation).find(space.foundation)
    if address is None:
        check_gpus(space.resources)
    else:
        check_storage(space, address)
    check_tasks(space, cache=cache_folder(space))
    return _run(space, sweep, address=address, verbose=verbose)


def _run(space: Space, sweep: Sweep, *, address: str | None, verbose: bool) -> int:
    sweep.store.patience.retry_s = space.storage.retry_s  # for all that was opened from it
    with sole_driver(sweep.store), interrupts_restored():
        return _drive(space, sweep, address=address, verbose=verbose)


def _drive(space: Space, sweep: Sweep, *, address: str | None, verbose: bool) -> int:
    console = open_console()
    log_to(console, verbose=verbose)
    sweep.note_budget(space.search.trainings)
    note_gpu_hours(sweep, space.resources)
    _note_changed_extensions(sweep, console)
    mark_stale(sweep, space, console)
    study = CurveStudy(methods_of(space), search=space.search, curve=space.curve, name=sweep.info.name)
    agenda = Agenda(space, sweep, study)
    sweep.clean({name for name, records in agenda.records.items() if is_finished(records)})
    where = one_line(str(sweep.store))
    console.print(f"sweep {sweep.info.name}: {agenda.num_trainings} trainings, record in {where}", soft_wrap=True)
    finished = agenda.settle() or _work_through(agenda, console, address=address, verbose=verbose)
    # From here on a further Ctrl-C loses only the drawing.
    on_interrupt(default_int_handler)
    try:
        return _close(agenda, console, finished, address)
    except KeyboardInterrupt:
        return _cut_short(agenda, console, finished, address)


def _note_changed_extensions(sweep: Sweep, console: Console) -> None:
    for change in changed_extensions(sweep.info.provenance):
        text = f"{change}; this sweep then mixes trainings or scores of both: put the old back, or begin a new sweep"
        console.print(text, style="yellow", soft_wrap=True, markup=False, highlight=False)
    if again := set_aside_failures(sweep):
        text = f"tried again, since an extension that they used has changed: {', '.join(again)}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _work_through(agenda: Agenda, console: Console, *, address: str | None, verbose: bool) -> bool:
    """Runs what is left, in view; returns whether the agenda came to its end."""
    from rayforget.on_ray.sweep import run_sweep

    sweep, space = agenda.sweep, agenda.space
    errors = BaselineErrors(agenda.roles)
    resume = command(resuming(sweep.info.name, address), space.storage.path)
    try:
        with (
            last_words(f"the sweep's process died, or Ray did; what is finished is recorded; go on with: {resume}"),
            LiveView(console, sweep.info.name, running=lambda: _under_way(agenda)) as view,
            mirror_thread(sweep, space, view.warn) as mirror,
        ):
            on_interrupt(view.interrupt)

            told = precision_words(agenda.briefs()) is not None

            def after(named: NamedJob) -> float | None:
                nonlocal told
                if not told and (chosen := precision_words(agenda.briefs())) is not None:
                    view.tell(chosen)
                    told = True
                tidy_weights(sweep, agenda.leading, agenda.roles, space.storage.keep)
                view.show(progress := progress_of(agenda, named, errors))
                mirror.tell(agenda.briefs())
                return progress.recovered

            return run_sweep(
                agenda,
                address=address,
                verbose=verbose,
                started=lambda dashboard: view.note(
                    f"Ray is up{f', its dashboard at http://{dashboard}' if dashboard else ''}"
                ),
                interrupted=view.stopping,
                after=after,
            )
    except KeyboardInterrupt:  # outside Tune, which handles a Ctrl-C itself: while Ray starts or ends
        return agenda.finished


def _under_way(agenda: Agenda) -> list[str]:
    return sorted(named.words for named in tuple(agenda.running.values()))


def _close(agenda: Agenda, console: Console, finished: bool, address: str | None) -> int:
    sweep, space = agenda.sweep, agenda.space
    failures = agenda.failures()
    for trial, reason in failures.items():
        console.print(f"failed: {trial}: {reason}{named_in(sweep, reason)}", style="red", markup=False, highlight=False)
    with suppress(RecordError):  # what is wrong with the storage or the record is said below
        if may_be_tried_again(sweep, failures):
            text = tried_again_notice(sweep.info.name, space.storage.path, address)
            console.print(text, soft_wrap=True, markup=False, highlight=False)
    reported = report_on(sweep, space, console, finished=finished)
    if agenda.halted is not None:
        text = f"halted: {agenda.halted}{named_in(sweep, agenda.halted)}"
        console.print(text, style="red", soft_wrap=True, markup=False, highlight=False)
    if not finished:
        what = "halted" if agenda.halted else "interrupted"
        resume = command(resuming(sweep.info.name, address), space.storage.path)
        console.print(f"{what}; go on with: {resume}", soft_wrap=True, highlight=False)
        return 1 if agenda.halted else INTERRUPTED
    if agenda.out_of_budget and (budget := agenda.gpu_budget) is not None:
        ended, total = agenda.finished_trainings(), agenda.num_trainings
        name, storage = sweep.info.name, space.storage.path
        text = ended_by_budget(budget, ended=ended, total=total, name=name, storage=storage, address=address)
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    return 1 if not reported or (failures and len(failures) == agenda.finished_trainings()) else 0


def _cut_short(agenda: Agenda, console: Console, finished: bool, address: str | None) -> int:
    """Handles a Ctrl-C during the report: says how to get later what it would have shown."""
    name = agenda.sweep.info.name
    words = f"frontier {name}" if finished else resuming(name, address)
    text = f"interrupted; go on with: {command(words, agenda.space.storage.path)}"
    console.print(text, soft_wrap=True, highlight=False)
    return INTERRUPTED


def progress_of(agenda: Agenda, named: NamedJob, errors: BaselineErrors) -> Progress:
    """What the live view shows after a job."""
    gathered = agenda.leading()
    points = gathered.points
    best = [points[i] for i in choose_frontier(points)] if any(point.method == THETA_0 for point in points) else []
    found = recovered_now(points, lambda theta_0, plain: errors(theta_0, plain, gathered.val))
    failures = agenda.failures()
    if named.name in failures:
        last = f"{named.name} failed: {failures[named.name]}"
    else:
        last = f"{named.words} {'broke off, so the sweep halts' if named.name in agenda.broken_off else 'done'}"
    none_left = agenda.finished_trainings() == agenda.num_trainings or (agenda.out_of_budget and not agenda.running)
    if isinstance(named.job, TrialJob) and none_left:
        last += "; next: the chosen points on test, then the report"
    return Progress(
        done=agenda.finished_trainings(),
        failed=len(failures),
        total=agenda.num_trainings,
        recovered=None if found is None else found.value,
        undefined=found is not None and found.value is None,
        frontier=best,
        last=last,
    )
