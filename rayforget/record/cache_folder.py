"""A space -> this node's folder for decoded sets, tokens and content hashes."""

from pathlib import Path

from rayforget.record.storage.store import Store
from rayforget.space.models import Space
from rayforget.space.paths import is_uri


def cache_folder(space: Space) -> Path:
    """`resources.cache`, else `cache` in a local storage path, else a folder in the user's home."""
    if space.resources.cache is not None:
        return space.resources.cache
    path = space.storage.path
    if is_uri(path) and not path.lower().startswith("file:"):
        return Path.home() / ".cache" / "rayforget"
    storage = Store.open(path)
    assert storage.local is not None
    return storage.local / "cache"
