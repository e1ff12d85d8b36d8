"""Prompts -> rows of tokens, padded on the left, so that all answers begin in the same column."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor


def prompt_rows(
    prompts: Sequence[NDArray[np.int32]], *, filler: int, width: int = 0
) -> tuple[Int[Tensor, "r l"], Int[Tensor, "r l"]]:
    """Tokens, and 1 where they are a prompt's and 0 where they are filled up; on the CPU.

    Args:
        prompts: token ids of each.
        filler: token id before the shorter ones.
        width: columns at least; the longest prompt may ask for more.
    """
    width = max(width, *(len(prompt) for prompt in prompts))
    tokens = torch.full((len(prompts), width), filler)
    seen = torch.zeros(len(prompts), width, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.from_numpy(prompt.astype(np.int64))
        seen[row, width - len(prompt) :] = 1
    return tokens, seen
