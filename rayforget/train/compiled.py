"""A module to be trained -> its blocks through torch.compile, once for all trainings of a process.

Compiled code hangs on code objects, which all trainings share, and a block of a later training whose sizes and settings
were met before finds it. Two things would make a training depend on those before it, and are off: sizes that turn
dynamic once a second one is met (`dynamic` is said), and the fall back to eager after eight variants.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from rayforget.train.sharding import blocks_of

_VARIANTS = 4096
"""Variants of one code object: sizes x precisions x adapters x settings of all of a sweep's recipes."""


def compile_blocks(module: nn.Module, *, sizes_repeat: bool, backend: str | Callable[..., Any] = "inductor") -> bool:
    """Compiles each block of the module's towers, in place, before it is sharded or wrapped.

    Equal blocks share one graph, so it takes as long as compiling one.

    Args:
        module: to be trained.
        sizes_repeat: whether the sizes of its inputs are few, so that each is worth code of its own; otherwise one code
            takes all of them.
        backend: torch.compile's.

    Returns:
        Whether the module has blocks; one without is to be compiled as a whole (`compiled`).
    """
    _allow_variants()
    blocks = blocks_of(module)
    for block in blocks:
        block.compile(dynamic=not sizes_repeat, backend=backend)
    return bool(blocks)


def compiled(module: nn.Module, *, sizes_repeat: bool, backend: str | Callable[..., Any] = "inductor") -> Any:
    """A module without blocks, compiled as a whole."""
    _allow_variants()
    return torch.compile(module, dynamic=not sizes_repeat, backend=backend)


def _allow_variants() -> None:
    import torch._dynamo

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _VARIANTS)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, _VARIANTS)
