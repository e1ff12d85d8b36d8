"""Kept tensors are found for exactly what they were made from, by the code that made them."""

from pathlib import Path

import torch

from rayforget.record.storage.store import Store
from rayforget.record.tensors_cache import TensorsCache


def test_tensors_come_back_for_their_key_and_code_alone(tmp_path: Path) -> None:
    storage, made = Store.open(tmp_path), {"w": torch.arange(3.0)}
    TensorsCache(storage, code="1").put({"data": "d", "theta_0": "t"}, made)
    found = TensorsCache(storage, code="1").get({"theta_0": "t", "data": "d"})
    assert found is not None
    assert torch.equal(found["w"], made["w"])
    assert TensorsCache(storage, code="1").get({"data": "other", "theta_0": "t"}) is None
    assert TensorsCache(storage, code="1 their-package 2").get({"data": "d", "theta_0": "t"}) is None
