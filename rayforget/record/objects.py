"""The record's objects <-> the bytes of their files: checkpoints, test scores and cached scores."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rayforget.errors import RecordError
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.score_json import WeightsTable, scores_from_json, scores_to_json
from rayforget.space.path_text import LERP
from rayforget.values.points import Point, Spot
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score


def encode_checkpoint(record: CheckpointRecord) -> bytes:
    """The file's bytes; equal records give equal bytes.

    Raises:
        RecordError: a score, an alpha or a time is not finite (facts may be: a loss that ended a trial is a fact).
    """
    table = WeightsTable()
    points = [
        {
            "alpha": point.alpha,
            "coarse": point.coarse,
            "scores": scores_to_json(point.scores, table),
            **({} if point.path == LERP else {"path": point.path}),
        }
        for point in record.points
    ]
    body = {
        "trial": record.trial,
        "step": record.step,
        "fraction": record.fraction,
        "status": record.status,
        "reason": record.reason,
        "recipe": record.recipe,
        "asked": record.asked,
        "points": points,
        "weights": table.arrays,
        "theta_0_hash": record.theta_0_hash,
        "theta_1_hash": record.theta_1_hash,
        "changed": record.changed,
        "seconds": record.seconds,
        "facts": _tag_nonfinite(record.facts),
        "provenance": record.provenance,
        "finished": record.finished,
    }
    return seal("checkpoint", body)


def decode_checkpoint(data: bytes, name: str) -> CheckpointRecord:
    """The inverse; sequences inside `recipe`, `facts` and the like come back as lists.

    Raises:
        RecordError: damaged, or contradicting its checksum or format; the message names the file and what to do.
    """
    body = open_sealed("checkpoint", data, name)
    try:
        arrays = body.pop("weights")
        body["points"] = tuple(
            Point(
                alpha=p["alpha"],
                path=p.get("path", LERP),
                coarse=p["coarse"],
                scores=scores_from_json(p["scores"], arrays),
            )
            for p in body["points"]
        )
        body["changed"] = tuple(body["changed"])
        body["facts"] = _untag_nonfinite(body["facts"])
        return CheckpointRecord(**body)
    except (KeyError, TypeError, ValueError) as error:
        raise _inconsistent(name, error) from error


def encode_test(record: TestRecord) -> bytes:
    """The file's bytes; equal records give equal bytes. Raises as `encode_checkpoint`."""
    table = WeightsTable()
    scores = [
        [spot.alpha, scores_to_json(record.scores[spot], table), *([] if spot.path == LERP else [spot.path])]
        for spot in sorted(record.scores, key=lambda spot: spot.order)
    ]
    body = {
        "trial": record.trial,
        "step": record.step,
        "theta_1_hash": record.theta_1_hash,
        "scores": scores,
        "weights": table.arrays,
        "facts": record.facts,
        "provenance": record.provenance,
        "finished": record.finished,
    }
    return seal("test", body)


def decode_test(data: bytes, name: str) -> TestRecord:
    """The inverse; raises as `decode_checkpoint`."""
    body = open_sealed("test", data, name)
    try:
        arrays = body.pop("weights")
        body["scores"] = {
            Spot(float(alpha), *path): scores_from_json(scores, arrays) for alpha, scores, *path in body["scores"]
        }
        return TestRecord(**body)
    except (KeyError, TypeError, ValueError) as error:
        raise _inconsistent(name, error) from error


def encode_scores(scores: Mapping[str, Score], key: Mapping[str, str]) -> bytes:
    """One model's scores by task, with the key that they were computed from; raises as `encode_checkpoint`."""
    table = WeightsTable()
    return seal("scores", {"key": key, "scores": scores_to_json(scores, table), "weights": table.arrays})


def decode_scores(data: bytes, name: str) -> tuple[dict[str, Score], dict[str, str]]:
    """The inverse: (scores, key); raises as `decode_checkpoint`."""
    body = open_sealed("scores", data, name)
    try:
        return scores_from_json(body["scores"], body["weights"]), body["key"]
    except (KeyError, TypeError, ValueError) as error:
        raise _inconsistent(name, error) from error


def _inconsistent(name: str, error: Exception) -> RecordError:
    return RecordError(
        f"{name} is intact but does not hold what its format promises ({type(error).__name__}: {error}); "
        "use the version of rayforget that wrote it"
    )


_TAG = "not_finite"


def _tag_nonfinite(value: Any) -> Any:
    """NaN and infinities as {"not_finite": "nan"}, since JSON cannot express them."""
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return {_TAG: repr(float(value))}
    if isinstance(value, Mapping):
        return {key: _tag_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tag_nonfinite(item) for item in value]
    return value


def _untag_nonfinite(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TAG}:
            return float(value[_TAG])
        return {key: _untag_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_untag_nonfinite(item) for item in value]
    return value
