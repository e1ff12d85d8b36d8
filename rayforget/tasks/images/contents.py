"""An item's encoded bytes -> its content hash, which identifies an image in cuts, overlaps and caches."""

import hashlib
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 16


def content_hash(data: bytes) -> bytes:
    """BLAKE2b of the bytes, 16 bytes long."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def items_hash(hashes: NDArray[np.uint8], labels: NDArray[np.int64]) -> str:
    """SHA-256 (hex) over the items' content hashes, shape (n, 16), and labels, shape (n,), in order."""
    digest = hashlib.sha256(f"{len(labels)}|".encode())
    digest.update(np.ascontiguousarray(hashes).tobytes())
    digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def changed_hashes(hashes: NDArray[np.uint8], changed: Collection[int]) -> NDArray[np.uint8]:
    """The content hashes, shape (n, 16), with others in the place of items that were changed before decoding.

    Scores on such items do not compare with those of versions that decoded them as they were.
    """
    found = hashes.copy()
    for position in changed:
        found[position] = np.frombuffer(content_hash(b"changed, then RGB\n" + hashes[position].tobytes()), np.uint8)
    return found
