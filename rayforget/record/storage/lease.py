"""A sweep's driver, with its number and term <-> the file `driver.json` in the sweep's folder."""

from dataclasses import asdict, dataclass

from rayforget.errors import RecordError
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.storage.owner import Owner

LEASE_FILE = "driver.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A driver's right to write into a sweep."""

    token: int
    """Grows with each owner; the owner of a smaller one was taken over."""
    owner: Owner
    nonce: str
    """Random: distinguishes two drivers in the same process."""
    until: float
    """Unix time from which another driver may take it, unless it is renewed; 0 once it was given back."""


def encode_lease(lease: Lease) -> bytes:
    """The file's bytes."""
    return seal("driver", asdict(lease))


def decode_lease(data: bytes, where: str) -> Lease:
    """The reverse.

    Raises:
        RecordError: damaged; the message names the file and what to do.
    """
    try:
        body = open_sealed("driver", data, where)
        return Lease(**{**body, "owner": Owner(**body["owner"])})
    except (RecordError, KeyError, TypeError) as error:
        raise RecordError(
            f"{where}, which says who drives the sweep, is damaged ({error}); when nobody does, delete it"
        ) from error
