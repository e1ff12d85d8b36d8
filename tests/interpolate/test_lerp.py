"""theta(alpha): exact at both ends, equal weights stay equal, and never from the previous alpha."""

import pytest
import torch

from rayforget.errors import FoundationError
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import changed_tensors, lerp


def ends(shape: tuple[int, ...] = (33, 7)) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    start = {"w": torch.randn(shape, generator=generator), "same": torch.randn(101, generator=generator)}
    return start, {"w": start["w"] + 1e-3 * torch.randn(shape, generator=generator), "same": start["same"].clone()}


@pytest.mark.parametrize("shape", [(1,), (33, 7), (1000, 101)])
def test_both_ends_are_exact(shape: tuple[int, ...]) -> None:
    start, end = ends(shape)
    assert state_hash(lerp(start, end, 0.0)) == state_hash(start)
    assert state_hash(lerp(start, end, 1.0)) == state_hash(end)


@pytest.mark.parametrize("alpha", [-0.5, 0.1, 0.3, 0.5, 0.7, 0.9, 1.5])
def test_it_is_the_equation_and_leaves_equal_weights_equal(alpha: float) -> None:
    start, end = ends()
    between = lerp(start, end, alpha)
    expected = (1 - alpha) * start["w"].double() + alpha * end["w"].double()
    torch.testing.assert_close(between["w"].double(), expected, atol=1e-6, rtol=1e-6)
    assert torch.equal(between["same"], start["same"])


def test_only_changed_tensors_are_named() -> None:
    start, end = ends()
    assert set(changed_tensors(start, end)) == {"w"}
    assert changed_tensors(start, start) == {}


def test_other_names_shapes_and_types_are_refused() -> None:
    start, end = ends()
    with pytest.raises(FoundationError, match="more"):
        changed_tensors(start, {**end, "more": end["w"]})
    with pytest.raises(FoundationError, match="shape"):
        lerp(start, {"w": end["w"][:1]}, 0.5)
    with pytest.raises(FoundationError, match="float32"):
        lerp(start, {"w": end["w"].double()}, 0.5)


def test_a_hash_sees_one_bit_a_name_and_a_shape() -> None:
    start, _ = ends()
    flipped = {**start, "w": start["w"].clone()}
    flipped["w"][0, 0] = torch.nextafter(flipped["w"][0, 0], torch.tensor(torch.inf))
    others = [flipped, {"v": start["w"], "same": start["same"]}, {**start, "w": start["w"].reshape(7, 33)}]
    assert len({state_hash(state) for state in [start, *others]}) == 4
    assert state_hash(start) == state_hash(dict(reversed(start.items())))
