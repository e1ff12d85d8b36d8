"""A model's tensors -> an error if some of them are not finite: nothing can be learnt from such a start."""

import torch

from rayforget.errors import FoundationError
from rayforget.foundations.protocol import State


def refuse_non_finite(theta_0: State, name: str) -> None:
    """Refuses NaN and infinite weights.

    Args:
        theta_0: the model's tensors.
        name: its file, folder or name, for the message.

    Raises:
        FoundationError: names the first tensors with such values, and how many values.
    """
    if listed := not_finite(theta_0):
        raise FoundationError(
            f"{name} holds weights that are not finite (NaN or infinite): {listed}; such a model can neither be "
            "trained nor scored nor mixed with another: download, convert or save it again"
        )


def not_finite(tensors: State) -> str:
    """The first tensors with values that are not finite, and how many: `a.weight (3 of 8) and 2 more tensors`; empty
    if there are none."""
    broken = {key: count for key, tensor in tensors.items() if (count := _num_broken(tensor))}
    listed = ", ".join(f"{key} ({count} of {tensors[key].numel()})" for key, count in sorted(broken.items())[:5])
    return listed + (f" and {len(broken) - 5} more tensors" if len(broken) > 5 else "")


def _num_broken(tensor: torch.Tensor) -> int:
    if torch.isfinite(tensor.sum()):  # one pass without memory; a sum that overflows is looked at in full
        return 0
    return int((~torch.isfinite(tensor)).sum())
