"""This process's GPU -> its name, driver and torch, and an allocator whose memory does not fragment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch

_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
"""Where a user sets torch's allocator."""
_DRIVER = Path("/proc/driver/nvidia/version")


def card_of(device: torch.device) -> dict[str, str] | None:
    """What decides how fast a kernel is: the card, its driver, and torch; None for a CPU."""
    if device.type != "cuda":
        return None
    return {
        "card": torch.cuda.get_device_name(device),
        "driver": driver_in(_DRIVER.read_text()) if _DRIVER.exists() else "unknown",
        "torch": torch.__version__,
        "cuda": torch.version.cuda or torch.version.hip or "unknown",
    }


def driver_in(text: str) -> str:
    """The version in the driver's own words, e.g. `NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  ...`."""
    found = re.search(r"\b\d{3,}(\.\d+)+\b", text)
    return found[0] if found else "unknown"


def grow_segments() -> None:
    """Lets the allocator grow its blocks instead of keeping some of each size; nothing if the user has set it up.

    Call before this process's first tensor on a GPU.
    """
    if leaves_allocator_to_us(os.environ):
        torch._C._accelerator_setAllocatorSettings("expandable_segments:True")


def leaves_allocator_to_us(environment: Mapping[str, str]) -> bool:
    """Whether the user has set nothing about torch's allocator."""
    return not any(environment.get(name) for name in _ALLOCATOR)
