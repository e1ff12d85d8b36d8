"""`rayforget trial NAME TRIAL`: one training of a sweep, and how to make it again."""

import sys

from rich.text import Text

from rayforget.errors import RecordError
from rayforget.frontier.points import THETA_0, PointKey, parse_key
from rayforget.record.space_of import space_here, space_of
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.terminal.live import open_console
from rayforget.report.words.recipes import shorten_recipe
from rayforget.report.words.remarks import in_4_bits_remarks
from rayforget.space.given import Given, recipe_of
from rayforget.space.models import Space
from rayforget.space.paths import is_uri
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord


def show_trial(storage: str, name: str, trial: str, step: int | None) -> None:
    """Prints a training's recipe and checkpoints.

    Args:
        storage: where the sweeps are.
        name: the sweep.
        trial: the training's name, or one of its points'.
        step: the checkpoint; None takes all.
    """
    sweep, record, _ = _find(storage, name, trial, step)
    console = open_console()
    console.print(Text(f"{record.trial} of sweep {name}", style="bold"))
    for key, value in shorten_recipe(record.recipe).items():
        console.print(Text(f"  {key}: {value}"))
    kept = sweep.kept_weights()
    steps = [record.step] if step is not None else sweep.trials()[record.trial]
    for each in (sweep.record(record.trial, number) for number in steps):
        if each.status == "failed":
            console.print(Text(f"failed: {(each.reason or 'no reason recorded').splitlines()[0]}", style="red"))
            continue
        weights = "weights kept" if (each.trial, each.step) in kept else "weights not kept"
        text = f"step {each.step} ({100 * each.fraction:g} %): {len(each.points)} points, {weights}, theta_1 "
        console.print(Text(f"{text}{each.theta_1_hash}"), soft_wrap=True)
        for remark in in_4_bits_remarks([each]):
            console.print(Text(f"  {remark}"), soft_wrap=True)


def print_script(storage: str, name: str, trial: str, step: int | None) -> None:
    """Prints the script that makes the training's weights again; arguments as of `show_trial`, None is the last step.

    Raises:
        RecordError: there is no such training, or it failed.
    """
    from rayforget.export.script import reproducing_script

    sweep, record, _ = _trained(storage, name, trial, step)
    sys.stdout.write(reproducing_script(_space(sweep, storage), record, name))


def print_space(storage: str, name: str, trial: str, step: int | None) -> None:
    """Prints a space file of the training's recipe; arguments and errors as of `print_script`."""
    from rayforget.export.one_recipe import space_file

    sweep, record, spot = _trained(storage, name, trial, step)
    sys.stdout.write(space_file(_space(sweep, storage), record, name, spot))


def _space(sweep: Sweep, storage: str) -> Space:
    """The sweep's space with the storage's place on this machine; a URI as it is recorded, without its keys."""
    return space_of(sweep) if is_uri(storage) else space_here(sweep, storage)


def _trained(storage: str, name: str, trial: str, step: int | None) -> tuple[Sweep, CheckpointRecord, Spot | None]:
    sweep, record, spot = _find(storage, name, trial, step)
    if record.trial == THETA_0:
        raise RecordError(f"{THETA_0} is the foundation itself, which no training made; name a training")
    if record.status == "failed":
        reason = (record.reason or "no reason recorded").splitlines()[0]
        raise RecordError(f"{record.trial} failed and has no weights: {reason}; name another training")
    if isinstance(given := recipe_of(record.recipe), Given):
        models = ", ".join(given.models)
        raise RecordError(f"{record.trial} was not trained here but given (rayforget interpolate): {models}")
    return sweep, record, spot


def _find(storage: str, name: str, trial: str, step: int | None) -> tuple[Sweep, CheckpointRecord, Spot | None]:
    sweep = Sweep.open(Store.open(storage), name)
    point: PointKey | None = parse_key(trial) if "/" in trial else None
    if point is not None:
        trial, step = point.trial, point.step if step is None else step
    steps = sweep.trials().get(trial)
    if steps is None:
        there = ", ".join(sorted(sweep.trials())) or "none"
        raise RecordError(f"sweep {name} has no training {trial}; it has: {there}")
    if step is not None and step not in steps:
        raise RecordError(f"{trial} was recorded at step {', '.join(map(str, steps))}, not at {step}; name one of them")
    record = sweep.record(trial, steps[-1] if step is None else step)
    return sweep, record, None if point is None else Spot(point.alpha, point.path)
