"""A state dict -> the hash of its bytes, which names a model in caches and in the record."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

CHANGED_FROM = "changed_from"
"""Key in the metadata of a safetensors file that holds only what a training changed: the hash of its theta_0."""


def state_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (first 32 hex digits) over names (sorted), shapes, types and bytes of all tensors.

    Args:
        state: name -> tensor of any shape, any device.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
