"""A foundation's tensors -> an error if some of them are not finite: nothing could be learnt from such a start."""

import torch

from rayforget.errors import FoundationError
from rayforget.foundations.protocol import State


def refuse_non_finite(theta_0: State, name: str) -> None:
    """Refuses NaN and infinite weights.

    Args:
        theta_0: the foundation's tensors.
        name: the foundation, for the message.

    Raises:
        FoundationError: names the first tensors with such values, and how many values.
    """
    broken = {key: count for key, tensor in theta_0.items() if (count := _num_broken(tensor))}
    if not broken:
        return
    listed = ", ".join(f"{key} ({count} of {theta_0[key].numel()})" for key, count in sorted(broken.items())[:5])
    more = f" and {len(broken) - 5} more tensors" if len(broken) > 5 else ""
    raise FoundationError(
        f"{name}: the pretrained weights themselves are not finite (NaN or infinite): {listed}{more}; no learning rate "
        "mends that: download or convert the model again"
    )


def _num_broken(tensor: torch.Tensor) -> int:
    if torch.isfinite(tensor.sum()):  # one pass without memory; a sum that overflows is looked at in full
        return 0
    return int((~torch.isfinite(tensor)).sum())
