"""Proximal steps in one kernel compute what torch's operations do, and are used only where they give the same bits."""

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from rayforget.train.penalties import fused
from rayforget.train.penalties.ewc import ewc_proximal_steps
from rayforget.train.penalties.fused import Fused, Proximal, tried
from rayforget.train.penalties.l1 import few_kernels_step

CPU = torch.device("cpu")
_KERNELS = "rayforget.train.penalties.fused_kernels"


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Triton's kernels run by its interpreter, on a CPU; it decides when they are defined."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(fused, "_TAUS", (0.0, 0.01, 3.0))
    monkeypatch.setattr(fused, "_CHUNK", 2**12)
    monkeypatch.delitem(sys.modules, _KERNELS, raising=False)
    yield
    sys.modules.pop(_KERNELS, None)


def by_operations(weights: Any, starts: Any, _: Any, tau: float) -> None:
    few_kernels_step(weights, starts, tau)


def test_the_kernel_of_l1_gives_the_bits_of_torchs_operations(interpreted: None) -> None:
    for own, other in tried("l1", by_operations, CPU):
        assert torch.equal(own.view(torch.int32), other.view(torch.int32))


def test_the_kernel_of_ewc_gives_the_same_but_for_the_rounding_of_a_product(interpreted: None) -> None:
    for own, other in tried("ewc", ewc_proximal_steps, CPU):  # a GPU's lerp rounds once, the interpreter twice
        torch.testing.assert_close(own, other, rtol=1e-6, atol=4e-6)
        assert (own == other).float().mean() > 0.9


def test_a_kernel_moves_all_tensors_wherever_they_lie_and_notices_when_they_move(interpreted: None) -> None:
    weights, starts = [torch.ones(3, 5), torch.full((4097,), 2.0)], [torch.zeros(3, 5), torch.zeros(4097)]
    step = Fused("l1", weights, starts)
    step(0.25)
    assert all((weight == value).all() for weight, value in zip(weights, (0.75, 1.75), strict=True))
    assert step.fits(weights)
    assert not step.fits([weights[0].clone(), weights[1]])
    with pytest.raises(ValueError, match="contiguous fp32"):
        Fused("l1", [torch.ones(3, 5).T], [torch.zeros(5, 3)])


class _There:
    """Passes for a tensor on a GPU."""

    device = torch.device("cuda")


@pytest.mark.parametrize("fault", ["other bits", "no Triton"])
def test_a_kernel_that_differs_or_cannot_be_had_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    def differs(*_: Any) -> bool:
        if fault == "no Triton":
            raise ImportError("no module named triton")
        return False

    caplog.set_level(logging.INFO, logger=fused.__name__)
    monkeypatch.setattr(fused, "equals", differs)
    taken: list[float] = []
    proximal = Proximal("l1", lambda *given: taken.append(given[-1]))
    for tau in (0.5, 0.25):
        proximal.take([_There()], [], [], tau)  # type: ignore[list-item]
    assert taken == [0.5, 0.25]
    assert ("other bits" if fault == "other bits" else "no kernel by Triton") in caplog.text
    assert len(caplog.records) == 1, "asked once"


def test_on_a_cpu_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "equals", lambda *_: pytest.fail("tried"))
    weight, start = torch.ones(5), torch.zeros(5)
    Proximal("l1", by_operations).take([weight], [start], [], 0.25)
    assert (weight == 0.75).all()
