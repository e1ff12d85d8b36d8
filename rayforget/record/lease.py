"""Who drives a sweep, under which number and until when <-> the file `driver.json` in the sweep's folder."""

from dataclasses import asdict, dataclass

from rayforget.errors import RecordError
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.owner import Owner

LEASE_FILE = "driver.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A driver's right to write into a sweep."""

    token: int
    """Grows with each owner; who holds a smaller one was taken over."""
    owner: Owner
    nonce: str
    """Random: tells two drivers apart that are the same process."""
    until: float
    """Unix time from which another driver may take it, unless it is renewed; 0 once it was given back."""


def encode_lease(lease: Lease) -> bytes:
    """The file's bytes."""
    return seal("driver", asdict(lease))


def decode_lease(data: bytes, where: str) -> Lease:
    """The reverse.

    Raises:
        RecordError: damaged; names the file and what to do.
    """
    try:
        body = open_sealed("driver", data, where)
        return Lease(**{**body, "owner": Owner(**body["owner"])})
    except (RecordError, KeyError, TypeError) as error:
        raise RecordError(
            f"{where}, which says who drives the sweep, is damaged ({error}); when nobody does, delete it"
        ) from error
