"""Restricts torch to deterministic algorithms while a block runs: same device and work, same bits.

Otherwise some GPU kernels add in an order that changes from run to run.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from rayforget.errors import TrainingError

_NAMED_BY_TORCH = "use_deterministic_algorithms"
"""Occurs in each of torch's errors about an operation without a deterministic form."""
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Gives every cuBLAS stream a workspace of its own; read when cuBLAS starts."""


def ask_cublas() -> None:
    """Sets the variable that cuBLAS needs, unless the user has set it; call before this process uses a GPU."""
    os.environ.setdefault(*_CUBLAS)


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Restricts torch to deterministic algorithms within the block, then restores the old setting; no-op unless `on`.

    Raises:
        TrainingError: an operation has no such form; the message names it. All ranks meet it alike.
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
    """`put_ does not have a deterministic implementation, ...` -> `put_`; recognises errors about cuBLAS too."""
    name, found, _ = message.partition(" does not have a deterministic implementation")
    return name.strip() if found else "a matrix product of cuBLAS" if "CuBLAS" in message else "an operation"


def seed_global_generators(seed: int) -> None:
    """Seeds the generators that a model's own code may draw from (torch's on all devices, NumPy's, Python's)."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # which would note its callers' stack for each kind of device that is not there: milliseconds of each step
        torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
