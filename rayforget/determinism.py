"""torch's deterministic algorithms while a block runs: the same bits, whenever the same device does the same work.

Without them some of a GPU's kernels add in an order that changes from run to run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rayforget.errors import TrainingError

_NAMED_BY_TORCH = "use_deterministic_algorithms"
"""In each of torch's errors about an operation without a deterministic form."""
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""With it cuBLAS gives every stream a workspace of its own; it is read when cuBLAS starts."""


def ask_cublas() -> None:
    """Sets what cuBLAS needs, unless the user has set it; before this process uses a GPU."""
    os.environ.setdefault(*_CUBLAS)


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Within, torch takes deterministic algorithms alone; afterwards what it took before. Nothing where not `on`.

    Raises:
        TrainingError: an operation has no such form; names it. All ranks meet it alike.
    """
    if not on:
        yield
        return
    was_on, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, benchmark = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    except RuntimeError as error:
        if _NAMED_BY_TORCH not in str(error):
            raise
        raise TrainingError(
            f"{_operation(str(error))} has no deterministic form in torch {torch.__version__}, and "
            "resources.deterministic asks for one; write resources.deterministic: false, or a recipe or a model "
            f"without it ({str(error)[:200]})"
        ) from error
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=warns)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn, benchmark


def _operation(message: str) -> str:
    """`put_ does not have a deterministic implementation, ...` -> `put_`; cuBLAS, which torch blames otherwise."""
    name, found, _ = message.partition(" does not have a deterministic implementation")
    return name.strip() if found else "a matrix product of cuBLAS" if "CuBLAS" in message else "an operation"
