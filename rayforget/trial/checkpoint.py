"""A theta_1, trained here or given -> its curves scored, and recorded with the weights that changed."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from rayforget.distributed import on_rank_0, rank
from rayforget.errors import TrainingError
from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.finite import not_finite
from rayforget.interpolate.lerp import changed_tensors
from rayforget.space.given import AnyRecipe
from rayforget.space.penalty import PENALTIES
from rayforget.space.recipe import Recipe
from rayforget.train.loop import Snapshot
from rayforget.trial.alpha_models import Ends
from rayforget.trial.curve import Pairs, ScoredCurve, score_curve, score_spots
from rayforget.trial.equipment import Equipment
from rayforget.trial.saving import Saving
from rayforget.values.points import Spot
from rayforget.values.records import QLORA, CheckpointRecord


def ends_of(recipe: AnyRecipe, theta_1: Mapping[str, Tensor], equipment: Equipment) -> Ends:
    """The ends of the paths to theta_1, which holds all tensors of `initial(recipe)`."""
    theta_0 = equipment.foundation.initial(recipe)
    changed = changed_tensors(theta_0, theta_1)
    return Ends(theta_0=theta_0, theta_1=changed, layers=equipment.foundation.layers(recipe))


def objectives_of(records: Iterable[CheckpointRecord], equipment: Equipment) -> list[tuple[float, float]]:
    """(speciality, generality) of every point of these records."""
    return [equipment.objectives(point.scores) for record in records for point in record.points]


def record_curve(
    name: str,
    recipe: AnyRecipe,
    snapshot: Snapshot,
    equipment: Equipment,
    *,
    asked: Mapping[str, Any],
    alpha: float | None,
    frontier: Pairs,
    seed: int,
    train_seconds: float | None,
) -> CheckpointRecord:
    """Scores the curves from theta_0 to a theta_1, and records them with the weights that changed.

    Weights are hashed and written while the curves are scored; the record follows both at once.

    Args:
        name: the trial's.
        recipe: what theta_1 was made by.
        snapshot: theta_1, with all tensors of `initial(recipe)`.
        equipment: the worker's.
        asked: the searcher's parameters.
        alpha: the searcher's alpha, if it asked for this checkpoint.
        frontier: what a refined alpha must beat.
        seed: seed of the inner searches.
        train_seconds: None if theta_1 was not trained here.

    Raises:
        TrainingError: on every rank, if theta_1 or its outputs are not finite.
    """
    _refuse_non_finite(recipe, snapshot)
    ends = ends_of(recipe, snapshot.theta_1, equipment)
    saving = (
        Saving(equipment.sweep, name, snapshot.step, theta_1=snapshot.theta_1, changed=ends.theta_1)
        if rank() == 0
        else None
    )
    try:
        equipment.settle_precision(recipe, ends.theta_1)
        started = time.monotonic()
        curve = score_curve(
            ends,
            asked=alpha,
            frontier=frontier,
            scorer=equipment.scorer(recipe, "val"),
            equipment=equipment,
            seed=seed,
        )
        in_4_bits = _scores_in_4_bits(recipe, snapshot, curve, equipment)
    except BaseException:
        if saving is not None:
            saving.drop()
        raise
    evaluated = time.monotonic()
    record = CheckpointRecord(
        trial=name,
        step=snapshot.step,
        fraction=snapshot.fraction,
        status="ok",
        recipe=recipe.model_dump(mode="json"),
        asked=dict(asked),
        points=curve.points,
        theta_0_hash=equipment.foundation.theta_0_hash,
        changed=tuple(sorted(ends.theta_1)),
        facts={**snapshot.facts, **curve.facts, **in_4_bits},
        provenance=equipment.scored_in("val"),
        finished=time.time(),
    )

    def write() -> tuple[str, dict[str, float]]:
        assert saving is not None
        theta_1_hash = saving.finish()
        took = {} if train_seconds is None else {"train": train_seconds}
        took |= {"evaluate": evaluated - started, "save": time.monotonic() - evaluated}
        seconds = {stage: round(value, 3) for stage, value in took.items()}
        equipment.sweep.add(replace(record, theta_1_hash=theta_1_hash, seconds=seconds))
        return theta_1_hash, seconds

    theta_1_hash, seconds = on_rank_0(write, equipment.device)
    return replace(record, theta_1_hash=theta_1_hash, seconds=seconds)


def _scores_in_4_bits(
    recipe: AnyRecipe, snapshot: Snapshot, curve: ScoredCurve, equipment: Equipment
) -> dict[str, Any]:
    """QLoRA's other model: the adapter on the 4-bit base that it was trained on, beside the merged one (alpha = 1)."""
    if snapshot.theta_1_in_4_bits is None:
        return {}
    ends = ends_of(recipe, snapshot.theta_1_in_4_bits, equipment)
    theta_1 = Spot(1.0)
    scored = score_spots(equipment.models(ends), [theta_1], equipment.scorer(recipe, "val"), "val", equipment)[theta_1]
    merged = next(point.scores for point in curve.points if point.spot == theta_1)
    return {
        QLORA: {
            "base": str(equipment.space.foundation.model),
            "merged": _named(equipment.objectives(merged)),
            "on_4_bits": None if isinstance(scored, NotFinite) else _named(equipment.objectives(scored)),
        }
    }


def _named(objectives: tuple[float, float]) -> dict[str, float]:
    return dict(zip(("speciality", "generality"), objectives, strict=True))


def _refuse_non_finite(recipe: AnyRecipe, snapshot: Snapshot) -> None:
    """Looks at the weights themselves: another package's scorer may turn NaN into wrong answers like any other."""
    if not (listed := not_finite(snapshot.theta_1)):
        return
    told = f"theta_1 has weights that are not finite (NaN or infinite) after step {snapshot.step}: {listed}"
    if not isinstance(recipe, Recipe):
        raise TrainingError(f"{told}; give a model without them")
    used = " and ".join(PENALTIES.called(penalty.kind) for penalty in recipe.penalties if penalty.strength > 0)
    raise TrainingError(f"{told}; lower learning_rate" + (f", or mend what {used} writes" if used else ""))
