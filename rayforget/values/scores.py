"""One model on one task and split: per-item results with their weights, and the score made of them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rayforget.metrics.find import metric_of
from rayforget.metrics.metric import Metric
from rayforget.metrics.scored_items import ScoredItems

Split = Literal["val", "test"]

BITS_PER_BYTE = "bits_per_byte"
"""The rule of likelihoods: an item is its bits per byte, its weight its bytes, the score 2^(-bits per byte)."""

CUT_ITEMS = "cut_items"
"""A score's fact: the number of items whose context was too long for the model and lost its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model on one task and split: per-item results, their weights, and the metric that makes a score of them."""

    rule: str
    """Name of the metric: `accuracy`, `balanced_accuracy`, `bits_per_byte`, ..., or one of lm-eval's: `acc_norm`."""
    package: str | None = None
    """The distribution that brings the metric; None for rayforget's own and lm-eval's."""
    items: NDArray[np.bool_] | NDArray[np.float32]
    """Shape (num_items,), or (num_items, num_results) for some metrics of texts, in the fixed order that `items_hash`
    identifies."""
    weights: NDArray[np.float32] | None = None
    """Shape (num_items,): tokens or bytes per item; None if every item weighs 1."""
    classes: NDArray[np.int32] | None = None
    """Shape (num_items,): the right class of each item; None if the metric does not need it."""
    items_hash: str
    """Hash of the items' contents and labels in order; scores can be compared item by item only if it is equal."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Counts over the items, equal for all models asked alike: `CUT_ITEMS`, `TOKENS`."""
    recorded: float | None = None
    """`value` as recorded, for another package's metric: known even if that package is not installed."""

    @property
    def metric(self) -> Metric:
        """The metric of `rule`; raises ExtensionError if its package is not installed."""
        return metric_of(self.rule, self.package)

    @property
    def total(self) -> float:
        """Sum of the (weighted) item results; of little meaning if an item has several."""
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
        """This model's items with the metric, which also give the score's variance."""
        weights = None if self.weights is None else self.weights.astype(np.float64)
        results = self.items.astype(np.float64)[None]
        return ScoredItems(metric=self.metric, results=results, weights=weights, classes=self.classes)

    @property
    def readings(self) -> dict[str, float]:
        """Readings behind the score: `bits_per_byte` and `nll_per_token` of likelihoods; else nothing."""
        if self.recorded is not None:
            return {}
        return self.metric.readings(self.total, self.count, self.facts)

    @property
    def brief(self) -> "ScoreBrief":
        """The score without its items."""
        return ScoreBrief(rule=sys.intern(self.rule), value=self.value, readings=self.readings or _NO_READINGS)


_NO_READINGS: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBrief:
    """A `Score` as kept in memory, without items; see there for the fields."""

    rule: str
    value: float
    readings: Mapping[str, float]
