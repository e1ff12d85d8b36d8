"""A point's name -> its record, its recipe and its weights, verified to be those that were scored."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from rayforget.errors import RecordError
from rayforget.foundations.protocol import Foundation
from rayforget.frontier.points import THETA_0, PointKey
from rayforget.interpolate.lerp import changed_tensors
from rayforget.record.command import command
from rayforget.record.sweep import Sweep
from rayforget.record.weights import load_theta_1, weights_name
from rayforget.space.given import AnyRecipe, recipe_of
from rayforget.space.path_text import LERP
from rayforget.trial.alpha_models import Ends, theta_of
from rayforget.values.points import Point, Spot
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPoint:
    """A point as the record has it."""

    key: PointKey
    record: CheckpointRecord
    """The checkpoint's."""
    val: Mapping[str, Score]
    """Task -> score on `val`."""
    test: Mapping[str, Score] | None
    """The latest on `test`; None if it was not scored there."""

    @property
    def by_split(self) -> dict[Split, Mapping[str, Score]]:
        """The splits on which it was scored."""
        return by_split(self.val, self.test)

    @property
    def recipe(self) -> AnyRecipe | None:
        """None for theta_0."""
        return recipe_of(self.record.recipe) if self.record.recipe else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointWeights:
    """A point's tensors, all of them, under canonical names; on the CPU in fp32."""

    theta: Mapping[str, Tensor]
    """The model that was scored."""
    theta_0: Mapping[str, Tensor]
    """The start of its training."""


def by_split(val: Mapping[str, Score], test: Mapping[str, Score] | None) -> dict[Split, Mapping[str, Score]]:
    """Split -> task -> score, without `test` if nothing was scored there."""
    return {"val": val} if test is None else {"val": val, "test": test}


def recorded_point(sweep: Sweep, key: PointKey) -> RecordedPoint:
    """Finds a point in the record.

    Raises:
        RecordError: there is no such point; the message names those that there are.
    """
    steps = sweep.trials().get(key.trial)
    if steps is None:
        trials = ", ".join(sorted(sweep.trials())) or "none"
        raise RecordError(f"point {key.text}: sweep {sweep.info.name} has no training {key.trial}; it has: {trials}")
    if key.step not in steps:
        has = ", ".join(map(str, steps))
        raise RecordError(f"point {key.text}: {key.trial} was recorded at step {has}, not at {key.step}; name one")
    record = sweep.record(key.trial, key.step)
    found = {point.spot: point for point in record.points}.get(Spot(key.alpha, key.path))
    if found is None:
        raise RecordError(f"point {key.text}: {_others(record, key.path)}")
    return RecordedPoint(key=key, record=record, val=found.scores, test=sweep.test_scores().get(key))


def _others(record: CheckpointRecord, path: str) -> str:
    if record.status == "failed":
        return f"this training failed and has no points: {(record.reason or 'no reason given')[:200]}"
    own: list[Point[Score]] = [point for point in record.points if point.path == path]
    if not own:
        paths = ", ".join(dict.fromkeys(point.path for point in record.points))
        return f"nothing was scored on that path; there are: {paths}"
    return f"that alpha was not scored; there are: {', '.join(f'{point.alpha!r}' for point in own)}"


def point_weights(sweep: Sweep, point: RecordedPoint, foundation: Foundation, storage: str) -> PointWeights:
    """Makes the point's weights from those that were kept, whose hash is checked.

    Raises:
        RecordError: they were not kept (the message says which are, and how to make them again), or are damaged.
        FoundationError: the path does not fit the model.
    """
    recipe, key = point.recipe, point.key
    if recipe is None:
        return PointWeights(theta=foundation.theta_0, theta_0=foundation.theta_0)
    refuse_lost(sweep, point, storage)
    theta_0 = foundation.initial(recipe)
    theta_1 = load_theta_1(sweep.store, point.record, theta_0)
    ends = Ends(theta_0=theta_0, theta_1=changed_tensors(theta_0, theta_1), layers=foundation.layers(recipe))
    changed = {} if key.alpha == 0 and key.path == LERP else theta_of(ends, Spot(key.alpha, key.path))
    return PointWeights(theta={**theta_0, **changed}, theta_0=theta_0)


def refuse_lost(sweep: Sweep, point: RecordedPoint, storage: str) -> None:
    """Refuses a point whose weights were not kept, before anything is loaded; raises RecordError.

    The storage, as the user names it, is for the message.
    """
    kept = sweep.kept_weights()
    if point.record.recipe and (point.key.trial, point.key.step) not in kept:
        raise RecordError(_not_kept(sweep, point.key, sorted(kept), storage))


def _not_kept(sweep: Sweep, key: PointKey, kept: list[tuple[str, int]], storage: str) -> str:
    name = sweep.info.name
    file = weights_name(key.trial, key.step)
    words = f"trial {name} {key.trial} --step {key.step} --script"
    place = f"{sweep.store}/{file}"
    local = sweep.store.local is not None
    run = f"`python again.py {place}`" if local else f"`python again.py FILE`, and copy FILE to {place}"
    there = ", ".join(f"{trial}/{step}" for trial, step in kept if trial != THETA_0) or "none"
    if given := sweep.record(key.trial, key.step).recipe.get("models"):
        return (
            f"the weights of {key.trial} are not kept; it was not trained here but given: begin another sweep of "
            f"{', '.join(given)} with rayforget interpolate; kept are: {there}"
        )
    return (
        f"the weights of {key.trial} at step {key.step} were not kept, since no point of it is on or near the "
        f"frontier (storage.keep); kept are: {there}. Name a point of those, or train it again: "
        f"`{command(words, storage)} > again.py`, then {run}"
    )
