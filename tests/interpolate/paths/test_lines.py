"""LiNeS: its equation layer by layer, the lerp at gamma = 1 to the bit, and models without depth."""

import pytest
import torch
from interpolate_ends import ends

from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import lerp
from rayforget.interpolate.paths.lines import Lines
from rayforget.values.layers import Layer

TS = (-0.25, 0.1, 0.3, 0.7, 1.0, 1.5)


@pytest.mark.parametrize("count", [2, 3, 12])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0])
def test_every_layer_goes_its_share_of_the_way(count: int, gamma: float) -> None:
    start, end, layers = ends(count)
    for t in TS:
        found = Lines(gamma=gamma).at(start, end, t, layers)
        for number in range(1, count + 1):  # the paper's l
            share = gamma + (1 - gamma) * (number - 1) / (count - 1)
            first, last = start[f"layer{number}"].double(), end[f"layer{number}"].double()
            expected = first + t * share * (last - first)
            torch.testing.assert_close(found[f"layer{number}"].double(), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_gamma_1_is_the_lerp_to_the_bit(count: int) -> None:
    start, end, layers = ends(count)
    for t in TS:
        assert state_hash(Lines(gamma=1.0).at(start, end, t, layers)) == state_hash(lerp(start, end, t))


def test_gamma_0_leaves_the_first_layer_and_takes_the_last_one_whole() -> None:
    start, end, layers = ends(5)
    found = Lines(gamma=0.0).at(start, end, 1.0, layers)
    assert torch.equal(found["layer1"], start["layer1"])
    assert torch.equal(found["layer5"], end["layer5"])


@pytest.mark.parametrize("layers", [{"layer1": Layer(index=0, count=1)}, {}])
def test_an_only_layer_and_a_tensor_without_one_go_as_the_lerp(layers: dict[str, Layer]) -> None:
    start, end, _ = ends(1)
    for t in TS:
        assert state_hash(Lines(gamma=0.0).at(start, end, t, layers)) == state_hash(lerp(start, end, t))


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_share_outside_of_0_to_1_is_refused(gamma: float) -> None:
    with pytest.raises(ValueError, match="gamma"):
        Lines(gamma=gamma)
