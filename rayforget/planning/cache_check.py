"""A loaded space -> an error if its `resources.cache` cannot be a folder of this machine; writes nothing."""

import os

from rayforget.errors import SpaceError
from rayforget.space.file.load import LoadedSpace


def check_cache(loaded: LoadedSpace) -> None:
    """Checks the folder or, if it is missing, its nearest existing parent, in which it will be made.

    Raises:
        SpaceError: that is a file, or is not writable.
    """
    cache = loaded.space.resources.cache
    if cache is None:
        return
    nearest = next(path for path in (cache, *cache.parents) if os.path.lexists(path))
    if os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK):
        return
    what = f"and {nearest} " if nearest != cache else "which "
    why = "may not be written to" if os.path.isdir(nearest) else "is no folder"
    raise SpaceError(
        f"{loaded.where('resources.cache')}: resources.cache: found {cache}, {what}{why}; give a folder that this user "
        "can write to, or make one"
    )
