"""One labelled set -> two halves by a seeded hash of each item's content.

The half depends only on the content, the seed and the share, not on order, file names, labels or the other items. So
copies of an image are never on both sides, and a set that is moved, renamed or extended keeps its cut.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def in_val(hashes: NDArray[np.uint8], *, seed: int, val_share: float) -> NDArray[np.bool_]:
    """Which items go to `val`: those with u < val_share, u = BLAKE2b(content hash, key = seed) / 2^64 in [0, 1).

    Args:
        hashes: content hashes, shape (n, 16).
        seed: another seed gives another, independent cut.
        val_share: expected share of the items in `val`; the rest are `test`.

    Returns:
        Shape (n,).
    """
    keyed = hashlib.blake2b(digest_size=8, key=str(seed).encode(), person=b"rayforget cut")
    draws = np.empty(len(hashes), dtype=np.uint64)
    for index, row in enumerate(hashes):
        digest = keyed.copy()
        digest.update(row.tobytes())
        draws[index] = int.from_bytes(digest.digest(), "little")
    return (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53 < val_share
