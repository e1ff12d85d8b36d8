"""A module on several ranks -> what is called for its forward, and when its gradients are shared: once in a step.

DDP averages gradients in the last micro-batch's backward. Shards (FSDP2) hold the gradients of earlier micro-batches
whole, 4 bytes for each trained weight, if a quarter of every rank's free memory is enough for them; otherwise each
micro-batch's are cut into shares at once, which takes more traffic and no memory.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rayforget.distributed import any_rank, world_size
from rayforget.train.sharding import reduce_gradients

_SHARE = 0.25
"""Share of a device's free memory for the whole gradients of shards."""


class Exchange:
    """One training's."""

    def __init__(self, module: nn.Module, device: torch.device, micro_batches: int, *, sharded: bool) -> None:
        """Wraps an unsharded module of several ranks by DDP; every rank calls it.

        Args:
            module: the trained module, in shards if `sharded`.
            device: this rank's.
            micro_batches: of each step.
            sharded: whether it is in shards.
        """
        self._ddp: DistributedDataParallel | None = None
        if world_size() > 1 and not sharded:
            self._ddp = DistributedDataParallel(module, forward_sync_buffers=False, gradient_as_bucket_view=True)
        self.forward: nn.Module = self._ddp or module
        """Called in place of the module."""
        once = sharded and micro_batches > 1 and not any_rank(not _fit(module, device), device)
        self._shards = module if once else None

    def before_forward(self, *, last: bool) -> None:
        """Call it before each micro-batch's forward; the last one's backward shares the gradients of all."""
        if self._ddp is not None:
            self._ddp.require_backward_grad_sync = last
        if self._shards is not None:
            reduce_gradients(self._shards, now=last)


def _fit(module: nn.Module, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free: Any = torch.cuda.mem_get_info(device)[0]
    return 4 * sum(weight.numel() for weight in module.parameters() if weight.requires_grad) <= _SHARE * float(free)
