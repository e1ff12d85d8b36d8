"""A recorded fault of an extension -> the line of the sweep's space that names the extension."""

from rayforget.errors import RecordError, SpaceError
from rayforget.record.sweep import Sweep
from rayforget.space.file.document import read_document
from rayforget.space.file.extension_places import place_of_fault


def named_in(sweep: Sweep, fault: str) -> str:
    """` (named in runs/x/space.yaml:12: ...)`, the line of the recorded space that names a fault's extension; else
    nothing."""
    try:
        place = place_of_fault(fault, read_document(sweep.space_text(), f"{sweep.store}/space.yaml"))
    except (SpaceError, RecordError):  # the text is only for people
        return ""
    return "" if place is None else f" (named in {place})"
