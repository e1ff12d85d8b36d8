"""A base, tuned models and a space's tasks -> a sweep in which nothing is trained, made and reported in one process."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from rayforget.commands.reporting import report_on
from rayforget.errors import FoundationError, SpaceError
from rayforget.extensions.extras import MissingExtraError
from rayforget.foundations.alike import refuse_unlike
from rayforget.foundations.kind import kind_of
from rayforget.foundations.revisions import pin_foundation
from rayforget.heartbeat import Heartbeat
from rayforget.planning.cache_check import check_cache
from rayforget.planning.foundation_check import as_typed, check_foundation, check_gpus
from rayforget.record.cache_folder import cache_folder
from rayforget.record.command import command, resuming
from rayforget.record.creation import create_sweep
from rayforget.record.removal import remove_sweep
from rayforget.record.storage.driver_lock import sole_driver
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.terminal.live import open_console
from rayforget.report.terminal.log import log_to
from rayforget.report.words.numbers import percent
from rayforget.report.words.precision import precision_words
from rayforget.space.file.load import LoadedSpace
from rayforget.space.foundation import place_of
from rayforget.space.frozen import FrozenDict
from rayforget.space.given import SOUPS
from rayforget.space.given_space import GivenSpace
from rayforget.space.models import Space
from rayforget.tasks.check import check_data, check_tasks
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.revisions import pin_revisions
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
_SHOW_EVERY_S = 0.1
Objectives = Callable[[Mapping[str, Score]], tuple[float, float]]
"""Scores by task -> (speciality, generality)."""


def start_models(loaded: LoadedSpace, *, name: str | None, verbose: bool) -> int:
    """Checks models and data, and makes the sweep; returns the exit code.

    A sweep whose models turn out not to fit is deleted again.

    Raises:
        SpaceError: a model is not there, or the data does not fit.
        FoundationError: a model cannot be loaded, or is not of the base's architecture.
        RecordError: the name is taken.
    """
    space = loaded.space
    assert isinstance(space, GivenSpace)
    check_foundation(loaded)
    _check_models(loaded, space)
    _refuse_other_architectures(space)
    check_cache(loaded)
    check_gpus(space.resources, f"{loaded.where('resources.gpus_per_worker')}: ")
    cache = cache_folder(space)
    tasks = check_data(loaded, cache=cache, hashes=HashStore.in_cache(cache))
    space = _pinned(pin_foundation(pin_revisions(space, tasks)))
    sweep = create_sweep(space, text=loaded.text, name=name, stem=f"{space.name}-interpolate")
    try:
        return _run(space, sweep, verbose=verbose)
    except FoundationError:
        remove_sweep(Store.open(space.storage.path), sweep.info.name)
        raise


def resume_models(
    sweep: Sweep, space: GivenSpace, overrides: Sequence[str], *, address: str | None, verbose: bool
) -> int:
    """Goes on with such a sweep: scores what is missing; returns the exit code.

    Raises:
        SpaceError: something is overridden, or a cluster is asked for, which has nothing to do here.
        FoundationError: a model is missing.
    """
    if overrides or address is not None:
        found = f"--set {overrides[0]}" if overrides else f"--address {address}"
        raise SpaceError(
            f"sweep {sweep.info.name} scores models that were given (rayforget interpolate) and trains none, found "
            f"{found}; leave it out"
        )
    kind_of(space.foundation).find(space.foundation)
    check_gpus(space.resources)
    check_tasks(space, cache=cache_folder(space))
    return _run(space, sweep, verbose=verbose)


def _check_models(loaded: LoadedSpace, space: GivenSpace) -> None:
    for name, spec in space.models.items():
        try:
            kind_of(spec).find(spec)
        except (FoundationError, MissingExtraError) as error:
            raise SpaceError(f"{loaded.document.where(('models', name))}: {as_typed(str(error))}") from None


def _refuse_other_architectures(space: GivenSpace) -> None:
    """Compares the shapes of tensors of equal names before any data is read; loading compares the names too."""
    base = kind_of(space.foundation).outline(space.foundation) or {}
    for spec in space.models.values():
        found = kind_of(spec).outline(spec) or {}
        refuse_unlike({name: found.get(name, tensor) for name, tensor in base.items()}, base, place_of(spec))


def _pinned(space: Space) -> GivenSpace:
    """The space with its models' commits too."""
    assert isinstance(space, GivenSpace)
    models = {name: kind_of(spec).pin(spec) for name, spec in space.models.items()}
    return space.model_copy(update={"models": FrozenDict(models)})


def _run(space: GivenSpace, sweep: Sweep, *, verbose: bool) -> int:
    sweep.store.patience.retry_s = space.storage.retry_s
    console = open_console()
    log_to(console, verbose=verbose)
    name, storage = sweep.info.name, space.storage.path
    with sole_driver(sweep.store):
        try:
            _introduce(space, sweep, console)
            _score(space, sweep, console)
            return 0 if report_on(sweep, space, console, finished=True) else 1
        except KeyboardInterrupt:
            again = command(resuming(name), storage)
            console.print(f"interrupted; go on with: {again}", soft_wrap=True, highlight=False)
            return INTERRUPTED


def _introduce(space: GivenSpace, sweep: Sweep, console: Console) -> None:
    """Says which model has which name, and how the models' files differ in more than weights."""
    soups = f" and {space.search.trainings} soups of them" if space.search.trainings else ""
    number = "1 model" if len(space.models) == 1 else f"{len(space.models)} models"
    lines = [
        f"sweep {sweep.info.name}: {number}{soups}, record in {sweep.store}",
        f"  base: {place_of(space.foundation)}",
        *(f"  {name}: {place_of(spec)}" for name, spec in sorted(space.models.items())),
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    for name, spec in sorted(space.models.items()):
        for unlike in kind_of(spec).unlike(spec, space.foundation):
            text = f"note: {name} has {unlike}; it is run as the base is"
            console.print(Text(text, style="yellow"), soft_wrap=True)


def _score(space: GivenSpace, sweep: Sweep, console: Console) -> None:
    """Records and tests whatever is missing."""
    from rayforget.frontier.gather import gather
    from rayforget.own_models import record_models
    from rayforget.record.wanted_tests import wanted_tests
    from rayforget.trial.equipment import Equipment
    from rayforget.trial.equipment_spec import EquipmentSpec
    from rayforget.trial.pipeline import score_tests

    sweep.clean(finished=set())
    fence = sweep.store.fence
    spec = EquipmentSpec(space=space, sweep_name=sweep.info.name, token=None if fence is None else fence.token)
    with _shown(console) as heartbeat:
        heartbeat("load the base and the data", 0, 0)
        equipment = Equipment.open(spec)
        record_models(space, equipment, heartbeat, lambda record: _tell(record, equipment.objectives, console))
        briefs = sweep.briefs()
        if (chosen := precision_words(briefs)) is not None:
            console.print(Text(f"  {chosen}"), soft_wrap=True)
        points = gather(briefs, equipment.roles).points
        score_tests(wanted_tests(points, sweep.test_scores()), equipment, heartbeat)


def _tell(record: CheckpointRecord, objectives: Objectives, console: Console) -> None:
    """One line for a model that is done."""
    special, general = objectives(next(point.scores for point in record.points if point.spot == Spot(1.0)))
    places = record.recipe["models"]
    of = f" of {len(places)} models" if len(places) > 1 else ""
    if not of and record.recipe["method"] in SOUPS:
        of = f" of {places[0]} alone"
    console.print(
        Text(
            f"  {record.trial}{of}: speciality {percent(special)}, generality {percent(general)} on val; "
            f"scored at {len(record.points)} points from the base to it"
        ),
        soft_wrap=True,
    )


@contextmanager
def _shown(console: Console) -> Iterator[Heartbeat]:
    """Shows on a terminal what is being done."""
    last = 0.0
    with console.status("") as status:

        def heartbeat(stage: str, done: int, total: int) -> None:
            nonlocal last
            if (now := time.monotonic()) - last > _SHOW_EVERY_S:
                last = now
                status.update(Text(f"{stage}{f': {done} of {total}' if total else ''}"))

        yield heartbeat
