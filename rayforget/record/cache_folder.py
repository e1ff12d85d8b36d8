"""A space -> this node's folder for decoded sets, tokens and content hashes."""

from pathlib import Path

from rayforget.record.storage.store import Store
from rayforget.space.models import Space


def cache_folder(space: Space) -> Path:
    """`resources.cache`, else `cache` in a local storage path, else a folder in the user's home."""
    if space.resources.cache is not None:
        return space.resources.cache
    storage = Store.open(space.storage.path)
    return storage.local / "cache" if storage.local else Path.home() / ".cache" / "rayforget"
