"""A function that builds a model -> the model without values, in no memory; None if building needs values."""

import logging
from collections.abc import Callable

import torch
from torch import nn

logger = logging.getLogger(__name__)


def without_values(build: Callable[[], nn.Module]) -> nn.Module | None:
    """The result of `build` on the meta device; None for models that compute with real values while they are built."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError, OSError, ValueError, TypeError, KeyError) as error:
        logger.info("adapter.targets are left to the workers: the model cannot be built without values: %s", error)
        return None
