"""Errors of an object store's client -> OSErrors that say briefly what happened, and whether it may pass."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

_STATUS = re.compile(r"status code: (\d{3}) ?([A-Za-z -]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_PASSING = frozenset({408, 425, 429})
_LASTING = frozenset({501, 505, 507})
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown"})
"""Codes of answers with status 400."""
_MACHINES_OWN = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "http://metadata")
"""Addresses that are asked for credentials if none are given; outside a cloud nobody answers."""


class NoConditionsError(Exception):
    """The server does not support conditional writes."""


class OtherVersionError(OSError):
    """The object is of another version than the request named, or gone."""

    transient = True


class ServerError(OSError):
    """An object store refused, or could not be reached."""

    def __init__(self, reason: str, *, transient: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.transient = transient
        """Whether the same request may succeed later."""
        self.status = status
        """HTTP status of the answer; None without an answer."""


@contextmanager
def server_errors() -> Iterator[None]:
    """Turns errors of obstore into ServerError, FileNotFoundError or FileExistsError (another object is there)."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(_first_part(str(error))) from error
    except OSError as error:  # raised by obstore's stream for writing; others have a number
        text = str(error)
        if (
            error.errno is None
            and not isinstance(error, ServerError)
            and (_STATUS.search(text) or text.startswith("Generic "))
        ):
            raise server_error(text) from error
        raise
    except AlreadyExistsError as error:
        if "409 Conflict" in str(error):  # somebody is writing it now: the next try shows who was first
            raise ServerError("the server answered 409 Conflict", transient=True, status=409) from error
        raise FileExistsError(_first_part(str(error))) from error
    except PreconditionError as error:
        raise OtherVersionError(_first_part(str(error))) from error
    except BaseError as error:
        raise server_error(str(error)) from error


def server_error(text: str) -> ServerError:
    """The meaning of the client's message, after its own retries of a few seconds."""
    words = _first_part(text)
    if any(host in text for host in _MACHINES_OWN):
        reason = "no credentials were found: neither in the environment nor from this machine's own service"
        return ServerError(reason, transient=False)
    if (found := _STATUS.search(words)) is not None:
        status, code = int(found[1]), _CODE.search(text)
        known = code[1] if code else None
        transient = status in _PASSING or (status >= 500 and status not in _LASTING)
        transient = transient or (status == 400 and known in _PASSING_CODES)
        said = f"the server answered {status} {found[2].strip()}" + (f", {known}" if known else "")
        return ServerError(said, transient=transient, status=status)
    if "kind: Timeout" in text or "TimedOut" in text:
        return ServerError("the server did not answer in time", transient=True)
    if "kind: Connect" in text:
        why = re.search(r'message: "([^"]+)"|error: "([^"]+)"', text)
        return ServerError(f"no connection to the server{f': {why[1] or why[2]}' if why else ''}", transient=True)
    if "HTTP error" in words or "kind: Request" in text or "kind: Decode" in text or "kind: Body" in text:
        return ServerError("the connection to the server broke", transient=True)
    return ServerError(" ".join(words.split())[:300], transient=False)


def _first_part(text: str) -> str:
    return text.split("\n\nDebug source")[0]
