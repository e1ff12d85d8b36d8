"""A key of what tensors were made from -> the tensors, kept in the storage path for other sweeps."""

import hashlib
import logging
from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rayforget.errors import StorageError
from rayforget.interpolate.hashing import state_hash
from rayforget.record.envelope import canonical_json
from rayforget.record.storage.store import Store

_log = logging.getLogger(__name__)
_HASH = 32
"""Length of the `state_hash` with which the file begins."""


class TensorsCache:
    """Tensors in the storage path, shared by its sweeps; deleting it only costs time."""

    def __init__(self, storage: Store, *, code: str) -> None:
        """Opens the cache.

        Args:
            storage: the storage path.
            code: version of all code that makes the tensors; a part of every key.
        """
        self._storage, self._code = storage, code

    def get(self, key: Mapping[str, str]) -> dict[str, Tensor] | None:
        """The tensors, on the CPU; None if unknown. A damaged file is reported, deleted and unknown.

        Args:
            key: all that the tensors depend on besides the code, by hashes rather than names.
        """
        name = self._name(key)
        if not self._storage.exists(name):
            return None
        data = self._storage.read(name)
        try:
            tensors: dict[str, Tensor] = load(data[_HASH:])
        except SafetensorError as error:
            self._drop(name, str(error))
            return None
        if state_hash(tensors).encode() != data[:_HASH]:
            self._drop(name, "its content does not fit its hash")
            return None
        return tensors

    def put(self, key: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
        """Stores the tensors (on the CPU, contiguous), replacing an earlier writer's."""
        self._storage.write(self._name(key), state_hash(tensors).encode() + save(dict(tensors)))

    def _name(self, key: Mapping[str, str]) -> str:
        made_from = canonical_json({**key, "code": self._code})
        return f"cache/tensors/{hashlib.sha256(made_from).hexdigest()}.safetensors"

    def _drop(self, name: str, reason: str) -> None:
        _log.warning("%s/%s is damaged (%s) and will be made again", self._storage, name, reason)
        try:
            self._storage.delete(name)
        except StorageError as error:
            _log.warning("it could not be deleted: %s", error)
