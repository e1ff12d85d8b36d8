"""A cluster file, or the address of a dashboard -> a client of the cluster's jobs, through a tunnel if need be."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rayforget.errors import RayforgetError, SpaceError
from rayforget.on_ray.session import prepare_environment, without_ray_address
from rayforget.printable import printable

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DASHBOARD = 8265
"""The dashboard's port on the head's loopback, as cluster.yaml starts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAddress:
    """How a user reaches a cluster: exactly one of the two."""

    cluster: Path | None = None
    """The file of `ray up`."""
    address: str | None = None
    """Of the dashboard, `http://HOST:8265`; usually the near end of the user's own tunnel."""

    def __post_init__(self) -> None:
        """Refuses neither, both, and an address that is no dashboard's."""
        if (self.cluster is None) == (self.address is None):
            raise SpaceError(
                "name the cluster: --cluster cluster.yaml (the file of `ray up`), or --address http://localhost:8265 "
                f"for a tunnel of your own; found {'neither' if self.cluster is None else 'both'}"
            )
        if self.address is not None and not self.address.startswith(("http://", "https://")):
            raise SpaceError(
                f"--address {self.address} is not a dashboard's; write http://HOST:8265 (`rayforget sweep --address` "
                "joins a cluster by HOST:PORT)"
            )

    @property
    def words(self) -> str:
        """As a user types it."""
        if self.cluster is not None:
            return f"--cluster {shlex.quote(str(self.cluster))}"
        return f"--address {shlex.quote(str(self.address))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A cluster whose dashboard answers."""

    way: ClusterAddress
    url: str
    """The dashboard's, from here."""
    client: "JobSubmissionClient"
    patience_s: float
    """How long a lost connection is worth waiting for."""


@contextmanager
def reach(way: ClusterAddress) -> Iterator[Reached]:
    """The cluster's jobs, within the block.

    Raises:
        RayforgetError: no tunnel can be opened, no dashboard answers, or it does not let us in.
    """
    if way.address is not None:
        yield Reached(way=way, url=way.address, client=_connect(way.address, way), patience_s=60.0)
        return
    from rayforget.on_ray.remote.head import head_of
    from rayforget.on_ray.remote.tunnel import tunnel

    assert way.cluster is not None
    with tunnel(head_of(way.cluster), remote=DASHBOARD, tell=say) as found:
        url = f"http://127.0.0.1:{found.port}"
        yield Reached(way=way, url=url, client=_connect(url, way), patience_s=3600.0)


def say(text: str) -> None:
    """Tells the user something that is not the job's output."""
    print(printable(text), file=sys.stderr, flush=True)


def _connect(address: str, way: ClusterAddress) -> "JobSubmissionClient":
    prepare_environment()
    if _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    named = way.address or f"port {DASHBOARD} of the head of {way.cluster}"
    try:
        with without_ray_address():  # Ray would prefer it to the given address
            return JobSubmissionClient(address)
    except ConnectionError:
        tunnel = (
            "" if way.address is None else "the tunnel open (`ray dashboard cluster.yaml`; --cluster opens one) and "
        )
        raise RayforgetError(
            f"no Ray dashboard answers at {named}; is {tunnel}the cluster up "
            f"(`ray up {way.cluster or 'cluster.yaml'}`)?"
        ) from None
    except (AuthenticationError, RuntimeError) as error:
        raise RayforgetError(
            f"the Ray dashboard at {named} does not let us in; the cluster's token must lie in ~/.ray/auth_token "
            f"(`ray get-auth-token` shows it), or in RAY_AUTH_TOKEN: {error}"
        ) from None


def _has_token() -> bool:
    """Whether this user has a token to send; Ray sends one only if RAY_AUTH_MODE says so."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()
