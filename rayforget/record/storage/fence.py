"""A driver's number and the sweep's lease -> leave to write or TakenOverError, for the driver and its workers alike."""

import time

from rayforget.errors import RecordError, TakenOverError
from rayforget.record.storage.folder import Folder
from rayforget.record.storage.lease import LEASE_FILE, decode_lease

_TRUST_S = 2.0
"""How long an answer is believed, so that weights, a record and an answer in a row need only one look."""


class Fence:
    """Compares its token to the lease's before anything is written.

    A write that passed may still arrive after a takeover, within the seconds for which an answer is believed. What the
    two drivers then write is either the same (records never change, and the first writer wins) or is replaced as a
    whole.
    """

    def __init__(self, sweep: Folder, token: int) -> None:
        self._sweep = sweep
        self.token = token
        self._asked = -_TRUST_S

    def check(self) -> None:
        """Returns if this token's driver still has the sweep.

        Raises:
            TakenOverError: another driver has the sweep, or it was deleted.
            OSError: the storage does not answer.
        """
        if time.monotonic() - self._asked < _TRUST_S:
            return
        where = f"{self._sweep}/{LEASE_FILE}"
        try:
            data = b"".join(self._sweep.chunks(LEASE_FILE))
        except FileNotFoundError:
            raise TakenOverError(f"{where} is gone: was the sweep deleted? Nothing more is written into it") from None
        try:
            lease = decode_lease(data, where)
        except RecordError as error:
            raise TakenOverError(str(error)) from error
        if lease.token != self.token:
            raise TakenOverError(
                f"sweep {self._sweep} was taken over by {lease.owner}, so this one writes nothing more into it "
                f"(its number is {self.token}, the sweep's {lease.token}); follow the other"
            )
        self._asked = time.monotonic()
