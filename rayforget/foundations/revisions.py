"""A space -> the same space, its hub foundation named with the commit that is taken."""

import re
from pathlib import Path

from rayforget.foundations.kind import kind_of
from rayforget.space.models import Space

_COMMIT = re.compile(r"[0-9a-f]{40}")


def pin_foundation(space: Space) -> Space:
    """What a sweep records, and what its workers and every resume of it load.

    Without it each of them takes the newest commit, and a sweep that is resumed after a push starts from another
    theta_0. A local or built-in model stays as it is, and so does one that the hub does not have or cannot be asked
    for: loading it says what is wrong.
    """
    return space.model_copy(update={"foundation": kind_of(space.foundation).pin(space.foundation)})


def commit_of(name: str, file: str, *, revision: str | None) -> str | None:
    """The commit that a branch, a tag or None stands for on the hub, or without a network in its cache.

    Args:
        name: OWNER/NAME.
        file: a small one that the repository has.
        revision: None for the main branch.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        place = Path(hf_hub_download(name, file, revision=revision))
    except (HfHubHTTPError, OSError, ValueError):
        return None
    folder = place.parent.name  # .../snapshots/COMMIT/FILE
    return folder if _COMMIT.fullmatch(folder) else None
