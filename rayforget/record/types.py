"""What the record holds: scores with their counts and items, points, and one object per (trial, checkpoint)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rayforget.metrics.metric import Metric, metric_of
from rayforget.metrics.scored_items import ScoredItems
from rayforget.space.path_text import LERP

Split = Literal["val", "test"]

BITS_PER_BYTE = "bits_per_byte"
"""The rule of likelihoods: an item is its bits per byte, its weight its bytes, the score 2^(-bits per byte)."""

CUT_ITEMS = "cut_items"
"""A score's fact: items whose context was longer than the model takes, and lost its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model on one task and split: per-item results, what they weigh, and the metric that makes a score of them."""

    rule: str
    """Name of the metric: `accuracy`, `balanced_accuracy`, `bits_per_byte`, ..., or one of lm-eval's: `acc_norm`."""
    package: str | None = None
    """The distribution that brings the metric; None for rayforget's own and lm-eval's."""
    items: NDArray[np.bool_] | NDArray[np.float32]
    """Shape (num_items,), in the fixed order that `items_hash` stands for."""
    weights: NDArray[np.float32] | None = None
    """Shape (num_items,): tokens or bytes per item; None where every item weighs 1."""
    classes: NDArray[np.int32] | None = None
    """Shape (num_items,): the right class of each item; None where the metric does not ask for it."""
    items_hash: str
    """Hash of the items' contents and labels in order; two scores compare item by item only when it is equal."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """What was counted of the items, the same for every model that is asked alike: `CUT_ITEMS`, `TOKENS`."""
    recorded: float | None = None
    """`value` as the record has it, of another package's metric: known also where that is not installed."""

    @property
    def metric(self) -> Metric:
        """The object of `rule`; raises ExtensionError where its package is not installed."""
        return metric_of(self.rule, self.package)

    @property
    def total(self) -> float:
        """Sum of the (weighted) item results."""
        items = self.items.astype(np.float64)
        return float(items.sum() if self.weights is None else (items * self.weights).sum())

    @property
    def count(self) -> float:
        """Sum of the items' weights."""
        return float(len(self.items) if self.weights is None else self.weights.astype(np.float64).sum())

    @property
    def value(self) -> float:
        """The score, in [0, 1], higher is better."""
        if self.recorded is not None:
            return self.recorded
        return self.scored.values()[0]

    @property
    def scored(self) -> ScoredItems:
        """Items and metric together: of these one model, for its variance too."""
        weights = None if self.weights is None else self.weights.astype(np.float64)
        results = self.items.astype(np.float64)[None]
        return ScoredItems(metric=self.metric, results=results, weights=weights, classes=self.classes)

    @property
    def readings(self) -> dict[str, float]:
        """What stands behind the score: of likelihoods `bits_per_byte` and `nll_per_token`; else nothing."""
        if self.recorded is not None:
            return {}
        return self.metric.readings(self.total, self.count, self.facts)


class Spot(NamedTuple):
    """One alpha on one path: with theta_0 and theta_1 it is a model."""

    alpha: float
    path: str = LERP
    """The path's text (`rayforget.space.path_text`)."""

    @property
    def order(self) -> tuple[bool, str, float]:
        """Sorts the lerp's alphas first, then path by path."""
        return (self.path != LERP, self.path, self.alpha)

    def __str__(self) -> str:
        return f"alpha = {self.alpha:g}" + ("" if self.path == LERP else f" of {self.path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One (trial, step, alpha, path) with its scores per task."""

    alpha: float
    path: str = LERP
    """Text of the path that alpha is on."""
    coarse: bool
    """Whether alpha belongs to the grid common to all trials (methods are compared on these alone), and the path to
    those that are scored on all of it."""
    scores: Mapping[str, Score]

    @property
    def spot(self) -> Spot:
        """(alpha, path)."""
        return Spot(self.alpha, self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord:
    """The immutable object of one (trial, step): what was trained and every point of its alpha curves."""

    trial: str
    """Name of the trial, unique in its sweep; sorts in the order in which trials were asked."""
    step: int
    """Optimiser steps taken."""
    fraction: float
    """Share of the training that these steps are, in (0, 1]; 0 for theta_0's own record."""
    status: Literal["ok", "failed"]
    reason: str | None = None
    """Why it failed, with the traceback; None when status is ok."""
    recipe: Mapping[str, Any]
    """The resolved recipe (`Recipe.model_dump(mode="json")`); empty for theta_0's own record."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The searcher's parameters of this trial, with the asked `fraction` and `alpha`; empty for baselines."""
    points: tuple[Point, ...] = ()
    """Points on `val`, the lerp's first, ascending in alpha along each path; empty when failed."""
    theta_0_hash: str
    theta_1_hash: str | None = None
    """Hash of the whole theta_1 (all tensors, names sorted); None when failed."""
    changed: tuple[str, ...] = ()
    """Names of the tensors in which theta_1 may differ from theta_0."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage: `train`, `evaluate`, `save`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was observed on the way: final loss, skipped steps, truncated items."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Versions, git commit and dirty flag, hardware, seeds."""
    finished: float = 0.0
    """Unix time at which the record was made."""

    @property
    def key(self) -> str:
        """`trial-step`, the name of the record's file."""
        return f"{self.trial}-{self.step:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRecord:
    """The immutable object of what the report read on `test`: the chosen points of one (trial, step)."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    trial: str
    step: int
    theta_1_hash: str
    """Of the theta_1 that was interpolated; theta_0's hash for theta_0's own record."""
    scores: Mapping[Spot, Mapping[str, Score]]
    """(alpha, path) -> task -> score on `test`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was observed of the `test` data: items left out."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """As in CheckpointRecord, of the run that scored."""
    finished: float
    """Unix time at which the record was made; of two scores of one point the later counts."""

    @property
    def key(self) -> str:
        """`trial-step`, with which the record's file names begin."""
        return f"{self.trial}-{self.step:06d}"
