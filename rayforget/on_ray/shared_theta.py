"""theta_0 as loaded by a worker -> the node's single copy of it in Ray's object store, which all its workers read.

Ray copies the kept object to each node that asks for it; the workers of a node map it into their memory.
"""

import warnings
from typing import Any

import ray
import torch
from ray.exceptions import ObjectLostError

from rayforget.errors import FoundationError
from rayforget.foundations.protocol import State
from rayforget.foundations.sharing import Share
from rayforget.on_ray.theta_keeper import Arrays

_ATTEMPTS = 3


def share_through(keeper: Any) -> Share:
    """Exchanges a worker's copy of theta_0 for the node's.

    Args:
        keeper: handle of a `ThetaKeeper`.

    Raises (when called):
        FoundationError: another model is kept under this hash.
        ray.exceptions.ObjectLostError: the kept object is lost again and again.
    """

    def share(theta_0_hash: str, theta_0: State) -> State:
        for _ in range(_ATTEMPTS - 1):
            found = _found(keeper, theta_0_hash, theta_0)
            try:
                return _tensors(ray.get(found[0]), theta_0)
            except ObjectLostError:
                ray.get(keeper.forget.remote(theta_0_hash, found))
        return _tensors(ray.get(_found(keeper, theta_0_hash, theta_0)[0]), theta_0)

    return share


def _found(keeper: Any, key: str, theta_0: State) -> list[Any]:
    """The kept object's reference; brings the object if there is none."""
    found: list[Any] = ray.get(keeper.find.remote(key))
    if not found:
        arrays = {name: tensor.numpy() for name, tensor in theta_0.items()}
        found = ray.get(keeper.keep.remote(key, arrays))
    return found


def _tensors(arrays: Arrays, expected: State) -> State:
    """The arrays as tensors in the same, read-only memory; torch would warn about that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    shapes, wanted = ({name: (x.shape, x.dtype) for name, x in state.items()} for state in (tensors, expected))
    if shapes != wanted:
        odd = sorted(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
        raise FoundationError(f"another model is kept under theta_0's hash; they differ in {', '.join(odd[:5])}")
    return tensors
