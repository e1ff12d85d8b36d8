"""A space -> the same space with the commit of its hub foundation."""

import re
from pathlib import Path

from rayforget.foundations.kind import kind_of
from rayforget.space.models import Space

_COMMIT = re.compile(r"[0-9a-f]{40}")


def pin_foundation(space: Space) -> Space:
    """The space that a sweep records, and its workers and every resume load.

    Otherwise each of them would take the newest commit, and a sweep resumed after a push would start from another
    theta_0. A local or built-in model stays as it is, and so does one that the hub lacks or cannot be asked for:
    loading it says what is wrong.
    """
    return space.model_copy(update={"foundation": kind_of(space.foundation).pin(space.foundation)})


def commit_of(name: str, file: str, *, revision: str | None) -> str | None:
    """The commit that a branch, a tag or None stands for on the hub, or in its cache if there is no network.

    Args:
        name: OWNER/NAME.
        file: a small file of the repository.
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
