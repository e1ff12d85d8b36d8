"""An error of reading the installed packages' entry points -> the package that has a malformed list of them.

One such file ends every look at entry points, pydantic's and other libraries' too, so there is no going on without it.
"""

import traceback
from typing import Any


def malformed_package(error: BaseException) -> str | None:
    """What to do about the package whose `entry_points.txt` an error came from, in one line; None if from none."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner: Any = frame.f_locals.get("self")
        # The class is the standard library's or, once anything has imported that, its backport importlib_metadata's.
        if frame.f_code.co_name == "entry_points" and hasattr(owner, "locate_file"):
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return (
                f"package {_name(owner)} in {owner.locate_file('')} has an entry_points.txt that cannot be read "
                f"({reason}); mend or uninstall the package"
            )
    return None


def _name(owner: Any) -> str:
    try:
        return str(owner.metadata["Name"] or "") or "without a name"
    except Exception:  # what belongs to a malformed package may be missing or malformed too
        return "without a name"
