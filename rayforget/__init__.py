"""Finds the trade-off between speciality and generality in fine-tuning foundation models.

From Python, as from the command line:

    results = rayforget.run_sweep("space.yaml")  # or rayforget.open_sweep(NAME)
    results.frontier()  # a pandas table
    results.figure()  # matplotlib's
    print(results.pick(max_forgetting=1.0))
    results.load(results.pick()).model  # open_clip's or transformers'

Importing this package imports nothing else; each name loads what it needs when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayforget.in_python import Results, open_sweep, run_sweep

__all__ = ["Results", "open_sweep", "run_sweep"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from rayforget import in_python

        return getattr(in_python, name)
    raise AttributeError(f"module 'rayforget' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
