"""theta_0 -> the same tensors in memory that several processes may share, and a base model that lies in them.

Neither a foundation's base model nor theta_0 is ever written to: every learner trains a copy. So both can be the same
memory, and on a node with many workers the same memory for all of them.
"""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.protocol import State

Share = Callable[[str, State], State]
"""Called with theta_0's hash and theta_0 (CPU, fp32); returns tensors of the same names, shapes and bytes.

The result may be read-only memory of other processes, so it must not be written to.
"""


def keep_own(theta_0_hash: str, theta_0: State) -> State:
    """Shares nothing: returns theta_0."""
    return theta_0


def point_at(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Moves the module's parameters and buffers of these names into these tensors' memory, without a copy.

    Args:
        module: keeps its Parameter objects (tied ones stay tied) and their `requires_grad`.
        tensors: the module's own names -> equal values, on the module's device.

    Raises:
        FoundationError: the module has no such name, shape or type.
    """
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in tensors.items():
        there = own.get(name)
        if there is None or (there.shape, there.dtype) != (tensor.shape, tensor.dtype):
            what = "no such tensor" if there is None else f"one of shape {tuple(there.shape)}, {there.dtype}"
            raise FoundationError(f"{name} of shape {tuple(tensor.shape)}, {tensor.dtype}: the model has {what}")
        there.data = tensor
