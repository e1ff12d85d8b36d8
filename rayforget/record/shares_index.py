"""What each training recovers alone in every resample, kept in the cache: a report of thousands of trainings, made
again, reads the items of those that are new.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.intervals import Boxes
from rayforget.frontier.points import FrontierPoint
from rayforget.record.index_file import IndexFile
from rayforget.record.segments import LEAST
from rayforget.record.storage.store import Store
from rayforget.values.brief import AnyCheckpoint

Shares = Mapping[tuple[int, ...], NDArray[np.float32]]


class SharesIndex(IndexFile):
    """The shares of one sweep's trainings in the box that its baselines span.

    A row counts only for the very same box in every resample, which tells the tasks, their items, the resamples and the
    baselines, and for points of the same weights and scores.
    """

    def __init__(self, store: Store, records: Iterable[AnyCheckpoint]) -> None:
        """Reads nothing yet.

        Args:
            store: the sweep's folder.
            records: the sweep's, which know the hashes of their weights.
        """
        super().__init__(store, "shares.npz", layout=1)
        self._hashes = {(record.trial, record.step): record.theta_1_hash for record in records}

    def recall(self, within: Boxes, groups: Mapping[tuple[int, ...], tuple[FrontierPoint, ...]]) -> Shares:
        """The shares that are known, of these groups of points."""
        rows = self._rows(within)
        if not rows:
            return {}
        known = ((group, rows.get(self._digest(points))) for group, points in groups.items())
        return {group: row for group, row in known if row is not None}

    def keep(self, within: Boxes, groups: Mapping[tuple[int, ...], tuple[FrontierPoint, ...]], shares: Shares) -> None:
        """Replaces what is known by these groups' shares; few are computed as fast as they are read."""
        if len(groups) < LEAST:
            return
        content = io.BytesIO()
        digests = np.frombuffer(b"".join(map(self._digest, groups.values())), np.uint8).reshape(len(groups), -1)
        rows = np.stack([shares[group] for group in groups])
        np.savez(content, box=np.frombuffer(_box(within), np.uint8), digests=digests, rows=rows)
        self.save(content.getvalue())

    def _rows(self, within: Boxes) -> dict[bytes, NDArray[np.float32]]:
        """Digest of a group -> its shares; empty if there are none of this box."""
        content = self.load()
        if content is None:
            return {}
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            if found["box"].tobytes() != _box(within):
                return {}
            return {digest.tobytes(): row for digest, row in zip(found["digests"], found["rows"], strict=True)}

    def _digest(self, points: tuple[FrontierPoint, ...]) -> bytes:
        whole = hashlib.sha256()
        for point in points:
            weights = self._hashes.get((point.trial, point.step))
            whole.update(repr((*point.key, weights, point.speciality, point.generality)).encode())
        return whole.digest()[:16]


def _box(within: Boxes) -> bytes:
    whole = hashlib.sha256()
    for part in (within.corner, within.area, within.full):
        whole.update(np.ascontiguousarray(part).tobytes())
    return whole.digest()
