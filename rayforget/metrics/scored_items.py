"""Models' results on the same items, and a metric -> scores, scores in resamples, and variances."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rayforget.extensions.use import naming_the_blamed
from rayforget.metrics.accuracy import Accuracy
from rayforget.metrics.metric import Classes, Floats, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItems:
    """One task's items as one metric needs them."""

    metric: Metric = field(default_factory=Accuracy)
    results: Floats
    """Shape (num_models, num_items), or (num_models, num_items, num_results): see `Metric.num_results`."""
    weights: Floats | None = None
    """Shape (num_items,), positive; None if every item weighs 1."""
    classes: NDArray[np.integer] | None = None
    """Shape (num_items,), not negative; None if the metric does not need them."""

    def values(self) -> list[float]:
        """Every model's score."""
        with naming_the_blamed():
            own, common = self.sums()
            return [float(score) for score in self.metric.of_sums(own, common)]

    def resampled(self, counts: Iterable[NDArray[np.float64 | np.integer]]) -> Iterator[Floats]:
        """Every model's score when item i counts c_i times: (some resamples, num_items) -> (..., num_models)."""
        own, common = self._arrays()
        groups = self._groups()
        if groups is None:
            spans, order = [slice(None)], None
        else:
            order = np.argsort(groups, kind="stable")
            starts = np.searchsorted(groups[order], np.arange(self._num_groups + 1)).tolist()
            spans = [slice(a, b) for a, b in pairwise(starts)]
            own, common = [each[:, order] for each in own], [each[order] for each in common]
        columns = [
            np.concatenate([*(each[:, span] for each in own), *(each[None, span] for each in common)]).T
            for span in spans
        ]
        largest = max(float(abs(part).max(initial=0.0)) for part in columns) if all(map(_whole, columns)) else np.inf
        for some in counts:
            # Whole numbers up to 2^24 add up exactly in float32, twice as fast: right or wrong, and counts.
            kind = np.float32 if largest * some.sum(axis=1).max() <= 2**24 and _whole(some) else np.float64
            drawn = (some if order is None else some[:, order]).astype(kind)
            parts = [drawn[:, span] @ part.astype(kind, copy=False) for span, part in zip(spans, columns, strict=True)]
            sums = (parts[0][..., None] if groups is None else np.stack(parts, axis=-1)).astype(np.float64)
            with naming_the_blamed():
                scores = self.metric.of_sums(*self._split(sums, len(own), len(common)))
            yield scores

    @property
    def width(self) -> int:
        """Numbers that one resample takes, as counts of the items or as sums over groups of them."""
        own, _ = self._arrays()
        return max(int(self.results.shape[1]), len(own) * len(self.results) * self._num_groups)

    @naming_the_blamed()
    def variances(self) -> Floats:
        """Every model's variance over items, to first order: sum_i (sum_t f_t v_ti)^2, with f_t = d score / d sum_t.

        For a mean it is sum_i w_i^2 (x_i - x)^2 / (sum_i w_i)^2, which for plain accuracy is p (1 - p) / n.
        """
        own, common = self._arrays()
        own_sums, common_sums = self.sums()
        places = self._groups()
        groups = np.zeros(self.results.shape[1], dtype=np.int64) if places is None else places
        found = []
        for model in range(len(self.results)):
            slopes, shared = self.metric.slopes([each[model] for each in own_sums], [each[0] for each in common_sums])
            moved = sum(slope[groups] * each[model] for slope, each in zip(slopes, own, strict=True))
            moved += sum(slope[groups] * each for slope, each in zip(shared, common, strict=True))
            found.append(float((moved**2).sum()))
        return np.array(found)

    @property
    def _num_groups(self) -> int:
        groups = self._groups()
        return 1 if groups is None else int(groups.max()) + 1

    def _groups(self) -> Classes | None:
        if not self.metric.by_class:
            return None
        assert self.classes is not None  # a metric that sums by class needs classes
        return self.classes.astype(np.int64)

    @naming_the_blamed()
    def _arrays(self) -> tuple[list[Floats], list[Floats]]:
        weights = np.ones(self.results.shape[1]) if self.weights is None else self.weights
        classes = None if self.classes is None else self.classes.astype(np.int64)
        own = [np.asarray(each, dtype=np.float64) for each in self.metric.own(self.results, weights, classes)]
        return own, [np.asarray(each, dtype=np.float64) for each in self.metric.common(weights, classes)]

    def sums(self) -> tuple[list[Floats], list[Floats]]:
        """Sums of own and of common over the items of each group: (num_models, num_groups) and (1, num_groups)."""
        own, common = self._arrays()
        groups, num_groups = self._groups(), self._num_groups
        return (
            [_grouped(each, groups, num_groups) for each in own],
            [_grouped(each[None], groups, num_groups) for each in common],
        )

    def _split(self, sums: Floats, num_own: int, num_common: int) -> tuple[Sequence[Floats], Sequence[Floats]]:
        """Columns, one block per array of own and then of common -> arrays of shape (..., models, groups)."""
        models = len(self.results)
        own = [sums[:, place * models : (place + 1) * models] for place in range(num_own)]
        first = num_own * models
        return own, [sums[:, first + place : first + place + 1] for place in range(num_common)]


def _whole(values: NDArray[np.float64 | np.integer]) -> bool:
    return np.issubdtype(values.dtype, np.integer) or bool((values == np.rint(values)).all())


def _grouped(values: Floats, groups: Classes | None, num_groups: int) -> Floats:
    """Sums over the items of each group: (num_models, num_items) -> (num_models, num_groups)."""
    if groups is None:
        whole: Floats = values.sum(axis=-1, keepdims=True)
        return whole
    return np.stack([np.bincount(groups, weights=row, minlength=num_groups) for row in values])
