"""A loaded space -> data and model checked and the plan of a sweep printed; starts nothing and leaves nothing."""

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rayforget.foundations.kind import kind_of
from rayforget.planning.cache_check import check_cache
from rayforget.planning.counts import Counts, count
from rayforget.planning.foundation_check import check_foundation
from rayforget.planning.saving import NOTICE_S, Saving, measure_saving
from rayforget.planning.strengths import strength_warnings
from rayforget.printable import one_line
from rayforget.record.cache_folder import cache_folder
from rayforget.record.storage.store import Store
from rayforget.report.terminal.live import open_console
from rayforget.report.words.gpu_hours import how_far
from rayforget.report.words.numbers import format_duration
from rayforget.report.words.remarks import broken_remark, skipped_remark
from rayforget.space.file.extension_places import naming_their_lines
from rayforget.space.file.load import LoadedSpace
from rayforget.space.file.notes import notes
from rayforget.space.parts import Resources
from rayforget.space.precision import AUTO, FULL, REDUCED
from rayforget.tasks.check import check_data, class_lines, data_remarks, skipped_rows
from rayforget.tasks.images.known_hashes import HashStore

if TYPE_CHECKING:
    from rayforget.planning.probe import Probe

Line = tuple[str, str]
"""(subject, what to say about it)."""


def print_plan(loaded: LoadedSpace, *, probe: bool) -> None:
    """Checks that model and data are there, and with `probe` every method on them; prints what a sweep takes.

    Raises:
        SpaceError: names the file and line of what cannot be used.
        BrokenExtensionError: likewise, of what an extension gets wrong.
    """
    with naming_their_lines(loaded.document):
        _print_plan(loaded, probe=probe)


def _print_plan(loaded: LoadedSpace, *, probe: bool) -> None:
    check_foundation(loaded)
    check_cache(loaded)
    cache = cache_folder(loaded.space)
    tasks = check_data(loaded, cache=cache, hashes=HashStore.in_cache(cache, writes=False))
    counts = count(loaded, tasks)
    lines = [*class_lines(tasks), *_counted(counts), *precision_lines(loaded.space.resources)]
    broken: list[str] = []
    idle: dict[str, None] = {}
    if probe:
        from rayforget.planning.probe import probe_space

        found = probe_space(loaded, tasks, counts)
        lines += _probed(loaded, counts, found)
        broken = [broken_remark(f"{where}, of a few looked at", names) for where, names in found.broken.items()]
        idle = {sentence: None for each in found.recipes.values() for sentence in each.idle}
    else:
        unproven = f"{counts.words.unproven}, " if counts.words.unproven else ""
        unseen = f"the model's weights, {unproven}memory, disk and time"
        lines.append(("not looked at", f"{unseen}; leave --no-probe out to look at them too"))
    broken += [skipped_remark(where, rows) for where, rows in skipped_rows(tasks).items()]
    of_model = kind_of(loaded.space.foundation).remarks(loaded.space.foundation)
    _print(
        open_console(),
        loaded,
        lines,
        [*of_model, *idle, *broken, *data_remarks(tasks), *notes(loaded), *strength_warnings(loaded, counts)],
    )


def _counted(counts: Counts) -> Iterator[Line]:
    *methods, plain = counts.methods
    shares = ", ".join(f"{each.method.name} {each.trainings:.3g}" for each in methods)
    yield "trainings", f"{counts.trainings}: {shares}; baseline: plain {plain.trainings:g}"
    steps = {_range(*each.steps) for each in counts.methods}
    names = ", ".join(f"{each.method.name} {_range(*each.steps)}" for each in counts.methods)
    yield (
        "steps",
        f"{steps.pop() if len(steps) == 1 else names} in each training ({counts.train_items} {counts.words.many})",
    )
    total = counts.trainings * counts.checkpoints
    yield "checkpoints", f"{counts.checkpoints} in each training, {total} in all"
    refine = f" and at most {counts.refine} between" if counts.refine else ""
    paths = f" on each of {counts.paths} paths" if counts.paths > 1 else ""
    searched = f", {counts.searched} by inner search" if counts.searched else ""
    yield (
        "evaluations",
        f"{_range(*counts.models)} models in each training "
        f"(per checkpoint {counts.alphas} alphas{paths}{searched}{refine}), "
        f"each on {counts.val_items} {counts.words.many} of val",
    )
    tested = f"{counts.test_items} {counts.words.many} of test"
    yield "points", f"{_range(*counts.points)}; those that the report shows are scored on {tested}"


def precision_lines(resources: Resources) -> Iterator[Line]:
    """How models are run when they are scored; nothing where that is fp32 throughout, as on CPUs."""
    asked, on_test = resources.evaluation_precision, resources.test_precision
    if asked != AUTO:
        if {asked, on_test} != {FULL}:
            yield "precision", f"{asked} on val, {on_test} on test"
    elif resources.gpus_per_worker or on_test != FULL:
        chosen = f"chosen after the first training among {', '.join((FULL, *REDUCED))}"
        yield "precision", f"{chosen if resources.gpus_per_worker else FULL} on val, {on_test} on test"


def _probed(loaded: LoadedSpace, counts: Counts, found: "Probe") -> Iterator[Line]:
    from rayforget.planning.estimate import START_UP_S, estimate, gpu_hours, training_s

    space, cores = loaded.space, os.cpu_count() or 1
    plan = estimate(space, counts, found, cores=cores)
    item, ready = counts.words.one, counts.words.kept
    memory, workers = plan.memory, space.resources.slots * space.resources.workers_per_slot
    yield "model", f"theta_0 {_size(found.theta_0_bytes)}, one {item} {_size(found.item_bytes)} {ready}"
    yield (
        "memory",
        f"{_size(memory.total)} in {'the worker' if workers == 1 else f'each of {workers} workers'}: theta_0 "
        f"{_size(memory.theta_0)}, the trained copy {_size(memory.module)}, its gradients, moments and start "
        f"{_size(memory.training)}, resident models {_size(memory.resident)}; activations and libraries come on top "
        f"(this check peaked at {_size(found.peak_bytes)} in all)",
    )
    yield "cache", f"{_size(plan.cache_bytes)} on each node: {counts.items} {ready} {counts.words.many}"
    yield (
        "weights",
        f"{_size(plan.weights_bytes)} for all checkpoints; of these the frontier's stay, "
        f"at most {_size(plan.kept_bytes)} (storage.keep.max_gib: {space.storage.keep.max_gib:g})",
    )
    if not (store := Store.open(space.storage.path)).local:
        yield "saving", _saved(measure_saving(store, plan.state_bytes))
    if found.cut_items:
        counted = ", ".join(f"{name} {number}" for name, number in sorted(found.cut_items.items()))
        yield (
            "cut",
            f"of {found.num_val} texts of val looked at, these lose the beginning of their context, which is longer "
            f"than the model takes: {counted}; all that are cut are counted in the record",
        )
    for name, shown in found.first_items.items():
        yield "first item", f"tasks.{name}.train, its tokens, »learnt«: {shown}"
    if space.resources.max_gpu_hours is not None:
        yield (
            "budget",
            how_far(space.resources.max_gpu_hours, gpu_hours(space.resources, counts, found), counts.trainings),
        )
    if plan.seconds is None:
        yield "time", "unknown: this machine has no GPU and the space asks for one"
        return
    low, high = (format_duration(seconds) for seconds in plan.seconds)
    slots = space.resources.slots
    side = f"{plan.slots} of {slots} slots fit its {cores} cores" if plan.slots < slots else f"{slots} at a time"
    yield (
        "time",
        f"{low if low == high else f'{low} to {high}'} on this machine ({found.device}; {side}): "
        f"{START_UP_S:g} s for Ray assumed, {found.load_s:.1f} s to load, {1e3 * found.decode_s:.2g} ms "
        f"to {counts.words.keeping}",
    )
    for of_method in counts.methods:
        recipe = found.recipes[of_method.method.name]
        if recipe.step_s is None or recipe.item_s is None:
            yield "", f"{of_method.method.name}: not timed, taken as the slowest"
            continue
        longest = training_s(space.resources, counts, of_method, recipe, 1)
        yield (
            "",
            f"{of_method.method.name}: {_milliseconds(recipe.step_s)} a step, {_milliseconds(recipe.item_s)} for one "
            f"model on one {item}, {format_duration(longest)} a training at most",
        )


def _saved(saving: Saving) -> str:
    """Whether spot machines can be used: what a save takes beside each cloud's notice."""
    notices = " and ".join(f"{seconds} s ({cloud})" for cloud, seconds in NOTICE_S.items())
    late = " and ".join(saving.too_slow_for)
    verdict = f"too long for {late}: what a spot machine there has not saved before is lost" if late else "enough"
    return (
        f"{_size(saving.state_bytes)} to go on from a step, {saving.seconds:.3g} s at the "
        f"{_size(saving.bytes_per_s)}/s that this machine writes to the storage; a spot machine's notice is "
        f"{notices}: {verdict}"
    )


def _milliseconds(seconds: float) -> str:
    """Two or three digits, never an exponent: `0.64 ms`, `45.5 ms`, `4450 ms`."""
    value = 1e3 * seconds
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _print(console: Console, loaded: LoadedSpace, lines: list[Line], warnings: list[str]) -> None:
    console.print(Text.assemble((loaded.space.name, "bold"), f"   {one_line(str(loaded.path))}: nothing wrong found"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for about, text in lines:
        table.add_row(Text(about), Text(one_line(text)))
    console.print(table)
    for warning in warnings:
        console.print(Text(f"note: {one_line(warning)}", style="yellow"))


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _size(num_bytes: float) -> str:
    power = min(4, int(math.log(max(num_bytes, 1), 1024)))
    return f"{num_bytes / 1024**power:.4g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
