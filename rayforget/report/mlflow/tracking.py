"""A space's `tracking.uri`, or what stands for it -> the place of the mirror, and a name of it without secrets."""

import os
import re
from dataclasses import dataclass

from rayforget.errors import RayforgetError, SpaceError
from rayforget.record.storage.store import Store
from rayforget.space.file.variables import fill


class MirrorError(RayforgetError, RuntimeError):
    """MLflow cannot be reached or refuses; the record is complete without it, and `rayforget mirror` makes up for
    it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """The mirror's place."""

    uri: str
    """The address with any secrets that it holds; people see `name`."""
    artifacts: str | None
    """Folder or URI for new experiments' files; None leaves it to the server."""

    @property
    def name(self) -> str:
        """The URI for people: without users, passwords, queries and, where these may be in it, the path."""
        scheme, of, rest = self.uri.partition("://")
        if scheme.startswith("sqlite") or not of or not set(rest) & set("@?#"):
            return self.uri
        secret, _, tail = rest.rpartition("@")
        if set(secret) & set("/?#@"):  # no address, or a password that ought to be escaped
            return f"{scheme}://***"
        return f"{scheme}://{re.split('[/?#]', tail)[0]}"


def find_tracking(uri: str | None, storage: Store) -> Tracking:
    """The space's `tracking.uri`, else MLFLOW_TRACKING_URI, else SQLite (`mlflow.db`) in the storage path.

    Raises:
        MirrorError: neither URI is set and the storage path is not on this machine's disk, or the space's URI reads a
            variable that is not set here.
    """
    if uri is not None:
        uri = _read(uri)
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or None
    artifacts = str(storage.within("mlartifacts"))
    if storage.local is not None:
        artifacts = (storage.local / "mlartifacts").as_uri()
    if uri is None:
        if storage.local is None:
            raise MirrorError(
                f"SQLite cannot live in {storage}; set tracking.uri or MLFLOW_TRACKING_URI to an MLflow server"
            )
        return Tracking(uri=f"sqlite:///{storage.local / 'mlflow.db'}", artifacts=artifacts)
    is_database = re.match(r"(sqlite|postgresql|mysql|mssql)\b", uri) is not None
    return Tracking(uri=uri, artifacts=artifacts if is_database else None)


def without_secrets(text: str, uri: str) -> str:
    """An error's text without this URI's user and password, wherever and however it repeats them."""
    return without_passwords(text.replace(uri, Tracking(uri=uri, artifacts=None).name))


def without_passwords(text: str) -> str:
    """The text with the password of every URI in it replaced."""
    return re.sub(r"//([^/@:\s]*):[^/@\s]*@", r"//\1:***@", text)


def _read(uri: str) -> str:
    try:
        return fill(uri, os.environ)
    except SpaceError as error:
        raise MirrorError(f"tracking.uri of the space: {error}") from error
