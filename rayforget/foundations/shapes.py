"""A function that builds a model -> the model without values, in no memory; None where it needs values to be built."""

import logging
from collections.abc import Callable

import torch
from torch import nn

logger = logging.getLogger(__name__)


def without_values(build: Callable[[], nn.Module]) -> nn.Module | None:
    """What `build` makes on the meta device; some models compute while they are built, which needs real values."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError, OSError, ValueError, TypeError, KeyError) as error:
        logger.info("adapter.targets are left to the workers: the model cannot be built without values: %s", error)
        return None
