"""Whether a training can be saved in the time that a spot machine is given before it is taken away."""

import os
import secrets
import time
from dataclasses import dataclass

from rayforget.record.storage.store import Store

NOTICE_S = {"AWS": 120, "GCE": 30}
"""Seconds between the notice and the end, by cloud."""
_WRITTEN = 16 * 2**20
"""Bytes of the file that is written to measure a storage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """The largest state to go on from, and how fast the storage takes it."""

    state_bytes: int
    bytes_per_s: float

    @property
    def seconds(self) -> float:
        """How long one save takes."""
        return self.state_bytes / self.bytes_per_s

    @property
    def too_slow_for(self) -> tuple[str, ...]:
        """Clouds whose notice is shorter than a save."""
        return tuple(cloud for cloud, notice in NOTICE_S.items() if self.seconds > notice)


def measure_saving(store: Store, state_bytes: int) -> Saving:
    """Writes one file of 16 MiB of noise below the storage, deletes it, and takes the time of the writing.

    Raises:
        StorageError: it cannot be written or deleted.
    """
    name, noise = f".check-{secrets.token_hex(4)}", os.urandom(_WRITTEN)
    started = time.monotonic()
    store.write(name, noise)
    took = time.monotonic() - started
    store.delete(name)
    return Saving(state_bytes=state_bytes, bytes_per_s=_WRITTEN / took)
