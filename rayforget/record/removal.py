"""A sweep's name -> its files deleted, and no others: what is not the record's own is named and stays."""

import json
import re

from rayforget.errors import RecordError, StorageError
from rayforget.record.brief_index import BriefIndex
from rayforget.record.envelope import open_sealed
from rayforget.record.names import check_name, no_sweep
from rayforget.record.shares_index import SharesIndex
from rayforget.record.storage.driver_lock import sole_driver
from rayforget.record.storage.store import Store

_TRIAL = r"[^/.][^/]*"
_OWN = re.compile(
    rf"""(sweep|space|driver)\.json | space\.yaml | \.driver
    | budget/([0-9]+|gpu-hours-[0-9.e+-]+)?
    | (points/({_TRIAL}-[0-9]+\.json)?)
    | ((test|failed)/({_TRIAL}-[0-9]+-[0-9a-f]{{12}}\.json)?)
    | (kernels/([A-Za-z0-9-]+\.json)?)
    | (segments/((points|asked)/([0-9]+-[0-9a-f]{{12}}\.json)?)?)
    | (asked/([0-9]+-[^/]+\.json)?)
    | (weights/({_TRIAL}-[0-9]+\.safetensors)?)
    | (resume/({_TRIAL}/(state(-[0-9]+)?\.(pt|json))?)?)
    | (report/(frontier\.(png|html|json))?)
    | ray/.*
    | (.+/)?\.writing-[^/]+""",
    re.VERBOSE | re.DOTALL,
)
"""Every file and folder that rayforget, or Ray for it, makes in a sweep's folder."""
_LAST = frozenset({"space.json", "space.yaml", "driver.json", ".driver"})
"""They tell that what is left was a sweep, and keep drivers away."""


def remove_sweep(storage: Store, name: str) -> list[str]:
    """Deletes a sweep, or what is left of one, beginning with `sweep.json`, so that half a sweep is never listed.

    Returns:
        Paths inside the folder that are not the record's, sorted: they and the folder stay. Links are not followed.

    Raises:
        RecordError: there is no folder of this name, it is not a sweep's, or a driver is working on it.
    """
    check_name(name)
    _check_no_link(storage, name)
    store = storage.within(name)
    if not {"sweep.json", "space.json", "space.yaml"} & store.files().keys():
        raise no_sweep(storage, name)
    for own in ("sweep.json", "space.json"):
        _check_no_link(storage, f"{name}/{own}")
    if not _is_sweep(store):
        raise RecordError(
            f"no sweep {name} in {storage}: the folder of this name has neither a sweep.json nor a space.json of "
            "rayforget's; nothing was deleted; if it was a sweep, delete it by hand"
        )
    with sole_driver(store):
        store.delete("sweep.json")
        for index in (BriefIndex(store), SharesIndex(store, ())):
            index.remove()
        store.delete_own(lambda path: _is_own(path) and path not in _LAST)
        return store.delete_own(_is_own)


def _is_own(path: str) -> bool:
    return _OWN.fullmatch(path) is not None


def _check_no_link(storage: Store, path: str) -> None:
    if storage.is_link(path):
        raise RecordError(f"{storage}/{path} is a link, which is never deleted; delete it by hand, or name its target")


def _is_sweep(store: Store) -> bool:
    """Whether `sweep.json` is sealed as a sweep's, or, since it may be damaged or not be there, `space.json` is a
    space."""
    try:
        open_sealed("sweep", store.read("sweep.json"), "sweep.json")
    except StorageError:
        raise
    except RecordError:
        pass
    else:
        return True
    try:
        space = json.loads(store.read("space.json"))
    except StorageError:
        raise
    except (RecordError, ValueError):
        return False
    return isinstance(space, dict) and {"name", "foundation", "tasks", "methods"} <= space.keys()
