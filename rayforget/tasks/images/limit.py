"""Labels and a number -> the labels of so many items, spread evenly over the classes; all others have none."""

import numpy as np
from numpy.typing import NDArray


def limited(labels: NDArray[np.int64], limit: int, *, by_class: bool) -> NDArray[np.int64]:
    """The labels with -1 for all items but `limit`, which depend on nothing but the labels and their order.

    Every class has equally many, up to one, unless it has fewer items; within a class they lie at equal distances.

    Args:
        labels: shape (n,); -1 for items without a class.
        limit: items to keep at most.
        by_class: whether labels are classes; otherwise the items are spread over the whole order.
    """
    kept = np.flatnonzero(labels >= 0)
    classes, counts = np.unique(labels[kept] if by_class else np.zeros_like(kept), return_counts=True)
    taken = np.full_like(labels, -1)
    for each, number in zip(classes, _shares(counts, min(limit, len(kept))), strict=True):
        own = np.flatnonzero(labels == each) if by_class else kept
        chosen = own[_spread(len(own), int(number))]
        taken[chosen] = labels[chosen]
    return taken


def _shares(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """How many of each class's items, `total` together: the largest equal share, and one more of some classes."""
    low, high = 0, int(counts.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= total else (low, middle - 1)
    shares = np.minimum(counts, low)
    larger = np.flatnonzero(counts > low)
    shares[larger[_spread(len(larger), total - int(shares.sum()))]] += 1
    return shares


def _spread(number: int, chosen: int) -> NDArray[np.int64]:
    """`chosen` different indices below `number`, at equal distances."""
    return np.arange(chosen, dtype=np.int64) * number // max(chosen, 1)
