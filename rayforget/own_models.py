"""Models that are there already -> records like those of trainings, their soups among them; runs in one process.

Each tuned model is a training of the method `plain`, so the baseline is their mean. A soup is a method of its own.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from rayforget.determinism import deterministic
from rayforget.errors import FoundationError, TrainingError
from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.kind import kind_of
from rayforget.frontier.points import PLAIN
from rayforget.heartbeat import Heartbeat, beat, heard_by
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import changed_tensors
from rayforget.interpolate.soups import greedy, mean_of
from rayforget.record.weights import load_theta_1, load_weights, save_weights
from rayforget.space.foundation import place_of, rules_of
from rayforget.space.given import GREEDY_SOUP, SOUPS, UNIFORM_SOUP, Given
from rayforget.space.given_space import GivenSpace
from rayforget.space.seeds import derive_seed
from rayforget.train.loop import Snapshot
from rayforget.trial.checkpoint import ends_of, objectives_of, record_curve
from rayforget.trial.curve import score_spots
from rayforget.trial.equipment import Equipment
from rayforget.values.points import Spot
from rayforget.values.records import STATISTICS, CheckpointRecord

STEP = 0
"""A given model's step: how many it took elsewhere is not known."""
_THETA_1 = Spot(1.0)
_STATISTICS = ("running_mean", "running_var")
"""Endings of BatchNorm's names, which sweeps never change: they are lerped like weights, and the record says so."""
Done = Callable[[CheckpointRecord], None]
"""Called with each record, also with those that were there."""


def record_models(
    space: GivenSpace, equipment: Equipment, heartbeat: Heartbeat, done: Done = lambda record: None
) -> list[CheckpointRecord]:
    """Scores the curve from theta_0 to every tuned model, and then to their soups; records each as soon as it is done.

    What is recorded already is not scored again.

    Args:
        space: the base and the models.
        equipment: set up with this space.
        heartbeat: called as the work goes on.
        done: called after each model.

    Returns:
        All records, the models' first.

    Raises:
        FoundationError: a model cannot be loaded, is of another architecture than the base, or gives answers that are
            not finite.
        TaskError, RecordError, OSError: the data or the storage failed.
    """
    with heard_by(heartbeat), deterministic(equipment.space.resources.deterministic):
        records: list[CheckpointRecord] = []
        for name in sorted(space.models):
            record = _recorded(name, equipment) or _record_model(name, space, equipment, records)
            records.append(record)
            done(record)
        if len(records) > 1:
            models = tuple(records)
            for number, method in enumerate(SOUPS, start=len(models)):
                name = f"{number:04d}-{method}"
                record = _recorded(name, equipment) or _record_soup(name, method, models, equipment, records)
                records.append(record)
                done(record)
        return records


def _recorded(name: str, equipment: Equipment) -> CheckpointRecord | None:
    return equipment.sweep.record(name, STEP) if equipment.sweep.has(name, STEP) else None


def _record_model(
    name: str, space: GivenSpace, equipment: Equipment, earlier: Sequence[CheckpointRecord]
) -> CheckpointRecord:
    spec, base = space.models[name], equipment.foundation.theta_0
    beat(f"load {place_of(spec)}")
    theta_1 = kind_of(spec).weights(spec, base)
    if not changed_tensors(base, theta_1):
        raise FoundationError(f"{place_of(spec)} holds the base's own weights, so there is no line between them")
    try:
        return _record(name, PLAIN, [place_of(spec)], theta_1, equipment, earlier)
    except TrainingError as error:
        raise FoundationError(
            f"{place_of(spec)} gives outputs that are not finite on val; are its weights whole?"
        ) from error


def _record_soup(
    name: str,
    method: str,
    models: Sequence[CheckpointRecord],
    equipment: Equipment,
    earlier: Sequence[CheckpointRecord],
) -> CheckpointRecord:
    kept = {UNIFORM_SOUP: _all, GREEDY_SOUP: _greedy}[method](models, equipment)
    places = [place for record in kept for place in record.recipe["models"]]
    return _record(name, method, places, _soup(kept, equipment), equipment, earlier)


def _record(
    name: str,
    method: str,
    places: Sequence[str],
    theta_1: Mapping[str, Tensor],
    equipment: Equipment,
    earlier: Sequence[CheckpointRecord],
) -> CheckpointRecord:
    given = _given(method, places, theta_1, equipment)
    if (same := _same_model(theta_1, given, earlier)) is not None:
        return _copy_of(same, name, given, equipment)
    statistics = sum(name.endswith(_STATISTICS) for name in changed_tensors(equipment.foundation.theta_0, theta_1))
    return record_curve(
        name,
        given,
        Snapshot(step=STEP, fraction=1.0, theta_1=theta_1, facts={STATISTICS: statistics} if statistics else {}),
        equipment,
        asked={},
        alpha=None,
        frontier=objectives_of(earlier, equipment),
        seed=derive_seed(equipment.space.search.seed, name, "curve"),
        train_seconds=None,
    )


def _same_model(
    theta_1: Mapping[str, Tensor], given: Given, earlier: Sequence[CheckpointRecord]
) -> CheckpointRecord | None:
    """The record of a model of the same weights, such as a greedy soup's only one."""
    own = state_hash(theta_1)
    return next((one for one in earlier if one.theta_1_hash == own and one.recipe["head"] == given.head), None)


def _copy_of(record: CheckpointRecord, name: str, given: Given, equipment: Equipment) -> CheckpointRecord:
    """Equal weights have equal scores, so they are not made again."""
    recipe = given.model_dump(mode="json")
    copy = replace(
        record, trial=name, recipe=recipe, seconds={}, provenance=equipment.scored_in("val"), finished=time.time()
    )
    save_weights(equipment.sweep.store, name, STEP, load_weights(equipment.sweep.store, record.trial, record.step))
    equipment.sweep.add(copy)
    return copy


def _given(method: str, places: Sequence[str], theta_1: Mapping[str, Tensor], equipment: Equipment) -> Given:
    """The weights decide the head: a text tower that changed has to score."""
    changed = changed_tensors(equipment.foundation.theta_0, theta_1)
    head = rules_of(equipment.space.foundation.kind).head_of(changed)
    return Given.model_validate({"method": method, "head": head, "models": tuple(places)})


def _all(models: Sequence[CheckpointRecord], equipment: Equipment) -> Sequence[CheckpointRecord]:
    return models


def _greedy(models: Sequence[CheckpointRecord], equipment: Equipment) -> Sequence[CheckpointRecord]:
    """By speciality on `val`; equal models in the order in which they were given."""

    def own(record: CheckpointRecord) -> float:
        return equipment.objectives(next(point.scores for point in record.points if point.spot == _THETA_1))[0]

    def score(kept: tuple[CheckpointRecord, ...]) -> float:
        if len(kept) == 1:
            return own(kept[0])
        beat(f"score a soup of {len(kept)} models")
        theta_1 = _soup(kept, equipment)
        given = _given(GREEDY_SOUP, ["candidate"], theta_1, equipment)
        ends = ends_of(given, theta_1, equipment)
        found = score_spots(equipment.models(ends), [_THETA_1], equipment.scorer(given, "val"), "val", equipment)[
            _THETA_1
        ]
        return float("-inf") if isinstance(found, NotFinite) else equipment.objectives(found)[0]

    return greedy(sorted(models, key=own, reverse=True), score)


def _soup(records: Sequence[CheckpointRecord], equipment: Equipment) -> dict[str, Tensor]:
    """The mean of the models; tensors that none of them changed are theta_0's own."""
    changed = sorted({name for record in records for name in record.changed})
    return {**equipment.foundation.theta_0, **mean_of(_thetas(records, equipment), changed)}


def _thetas(records: Sequence[CheckpointRecord], equipment: Equipment) -> Iterator[dict[str, Tensor]]:
    for record in records:
        yield load_theta_1(equipment.sweep.store, record, equipment.foundation.theta_0)
