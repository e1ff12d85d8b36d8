"""A point -> its model folder with card and picture, and an adapter beside it if asked for."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rayforget.errors import FoundationError, RecordError
from rayforget.export.asked import PROMPTS, prompts_file, training_sets
from rayforget.export.card import ADAPTER, PICTURE, write_card
from rayforget.export.facts import Adapted, CardFacts, measures_of, theta_0_scores
from rayforget.export.folder import DTYPES, WrittenModel, new_folder, read_again, write_model
from rayforget.export.low_rank import low_rank_change
from rayforget.export.measured import MeasuredAgain, measure_again
from rayforget.export.opened import OpenedSweep, open_sweep
from rayforget.export.point import PointWeights, RecordedPoint, point_weights, recorded_point, refuse_lost
from rayforget.frontier.points import PointKey
from rayforget.frontier.summary import Summary
from rayforget.record.sweep import Sweep
from rayforget.report.png.picture import draw_frontier
from rayforget.space.models import Space
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.tasks.asked import prompts_of

Dtype = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A folder that was written and read again."""

    folder: Path
    facts: CardFacts


def export_point(
    sweep: Sweep,
    space: Space,
    summary: Summary,
    key: PointKey,
    folder: Path,
    *,
    dtype: Dtype = "fp32",
    adapter: bool = False,
) -> Exported:
    """Writes the model, reads it again by its library, scores it again where it is not the scored one, and writes the
    card.

    Args:
        sweep: the record.
        space: its space, on this machine.
        summary: the sweep's report.
        key: the point.
        folder: a new or empty one.
        dtype: of the files' tensors; in fp32 they are those that were scored, to the bit.
        adapter: whether to write a LoRA point as an adapter too, into `adapter/`.

    Raises:
        RecordError: there is no such point, its weights were not kept, or what was read is not what was written.
        FoundationError: the model cannot be exported so.
        StorageError: the folder holds something, or cannot be written.
        TaskError: the space's data is missing.
    """
    point = recorded_point(sweep, key)
    if all(each.key != key for each in summary.points):
        raise RecordError(f"point {key.text} is newer than this reading of {sweep.info.name}; open the sweep again")
    _refuse_adapter(point, adapter)
    refuse_lost(sweep, point, space.storage.path)
    with new_folder(folder) as place:
        opened = open_sweep(sweep, space)
        weights = point_weights(sweep, point, opened.foundation, space.storage.path)
        written = write_model(opened, weights, place, DTYPES[dtype])
        again = None
        if dtype != "fp32":
            again = measure_again(space, point, written.spec, read=written.foundation, extra=written.extra)
        adapted = _write_adapter(opened, point, weights, place / ADAPTER) if adapter else None
        facts = _facts(opened, summary, point, written, dtype, again, adapted)
        draw_frontier(summary, place / PICTURE, this=facts.index)
        if facts.prompts:
            (place / PROMPTS).write_text(prompts_file(facts.prompts), encoding="utf-8")
        (place / "README.md").write_text(write_card(facts), encoding="utf-8")
    return Exported(folder=folder, facts=facts)


def _refuse_adapter(point: RecordedPoint, adapter: bool) -> None:
    if not adapter:
        return
    recipe = point.recipe
    if not isinstance(recipe, Recipe) or not isinstance(recipe.adapter, LoraAdapter):
        what = f"adapter: {recipe.adapter.kind}" if isinstance(recipe, Recipe) else "no recipe"
        raise FoundationError(
            f"--adapter: {point.key.text} has {what}; only a LoRA's change is of low rank: leave --adapter out"
        )
    if recipe.adapter.use_dora:
        raise FoundationError(
            f"--adapter: {point.key.text} was trained by DoRA, which also changes the length of every row, so that its "
            "merged change is not of low rank; leave --adapter out"
        )


def _write_adapter(opened: OpenedSweep, point: RecordedPoint, weights: PointWeights, folder: Path) -> Adapted:
    recipe = point.recipe
    assert isinstance(recipe, Recipe)
    assert recipe.adapter.kind == "lora"
    change = low_rank_change(weights.theta_0, weights.theta, recipe.adapter, point.key.alpha)
    folder.mkdir()
    spec = opened.exporter.save_adapter(change, folder)
    logging.disable(logging.WARNING)  # that an adapter is merged into its base is meant here
    try:
        merged = read_again(opened.space, spec)
    finally:
        logging.disable(logging.NOTSET)
    if odd := sorted(merged.theta_0.keys() ^ weights.theta.keys()):
        raise FoundationError(
            f"--adapter: peft splits tied tensors ({', '.join(odd[:3])}), which are trained in full by "
            "modules_to_save, so that the adapter would be another model; leave --adapter out"
        )
    largest = max(float((weights.theta[name] - tensor).abs().max()) for name, tensor in merged.theta_0.items())
    changed = max(float((weights.theta[name] - start).abs().max()) for name, start in weights.theta_0.items())
    again = measure_again(opened.space, point, spec, read=merged)
    return Adapted(rank=change.rank, scale=change.scale, largest=largest / changed, again=again)


def _facts(
    opened: OpenedSweep,
    summary: Summary,
    point: RecordedPoint,
    written: WrittenModel,
    dtype: Dtype,
    again: MeasuredAgain | None,
    adapted: Adapted | None,
) -> CardFacts:
    theta_0 = theta_0_scores(opened.sweep)
    return CardFacts(
        space=opened.space,
        sweep=opened.sweep,
        summary=summary,
        point=point,
        fraction=point.record.fraction,
        dtype=dtype,
        hash=written.hash,
        words=opened.exporter.words,
        aside=written.aside,
        theta_0=theta_0,
        measures=measures_of(summary, theta_0, point.by_split),
        again=again,
        measures_again={} if again is None else measures_of(summary, theta_0, again.by_split),
        adapted=adapted,
        prompts=prompts_of(opened.tasks),
        trained_on=training_sets(opened.sweep, opened.tasks),
    )
