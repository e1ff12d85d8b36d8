"""A checked space -> a new sweep's folder in its storage."""

import time

from rayforget.record.names import unused_name
from rayforget.record.provenance import provenance
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.models import Space
from rayforget.space.paths import is_uri


def create_sweep(space: Space, *, text: str, name: str | None, stem: str | None = None) -> Sweep:
    """Creates a sweep, before anything is loaded for it.

    Args:
        space: with its commits pinned.
        text: the space file as the user wrote it.
        name: the sweep's; None makes one of the time.
        stem: what such a name begins with; None takes the space's name.

    Raises:
        RecordError: the name is taken.
    """
    storage = Store.open(space.storage.path)
    created = time.time()
    resolved = space.model_dump(mode="json")
    if is_uri(space.storage.path):
        resolved["storage"]["path"] = str(storage)  # the URI may hold keys; whoever opens the record names it anyway
    info = SweepInfo(
        name=unused_name(storage, stem or space.name, created) if name is None else name,
        space_name=space.name,
        created=created,
        provenance=provenance(seeds={"search": space.search.seed}),
    )
    return Sweep.create(storage, info, space_text=text, space=resolved)
