"""Alpha by block: t on average, within [0, 1]; any alphas with that mean are reached; equal leads are the lerp."""

import numpy as np
import pytest
import torch
from interpolate_ends import ends

from rayforget.errors import FoundationError
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import lerp
from rayforget.interpolate.paths.blocks import Blocks

TS = (-0.5, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.5)
LEADS = [(0.0,), (0.5, 0.0), (0.0, 0.5, 1.0), (1.0, 0.0, 1.0), (0.0, 0.1, 0.2, 0.3, 0.9), (0.0, 1.0, 1.0, 1.0)]


@pytest.mark.parametrize("leads", LEADS)
def test_the_mean_is_t_every_alpha_lies_between_the_ends_and_the_order_is_the_leads(leads: tuple[float, ...]) -> None:
    for t in TS:
        alphas = Blocks(leads=leads).alphas(t)
        assert np.mean(alphas) == pytest.approx(t, abs=1e-15)
        if 0 <= t <= 1:
            assert all(0 <= alpha <= 1 for alpha in alphas)
        for one, lead in zip(alphas, leads, strict=True):
            for other, other_lead in zip(alphas, leads, strict=True):
                assert lead <= other_lead or one >= other
                between = 0 < t < 1 and 0 < one < 1 and 0 < other < 1
                assert not between or one - other == pytest.approx(lead - other_lead, abs=1e-12)


def test_the_shift_is_the_root_that_bisection_finds() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 8):
        leads = rng.uniform(size=count)
        path = Blocks(leads=tuple(leads))
        for t in rng.uniform(size=10):
            low, high = -1.0, 1.0
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if np.clip(np.array(path.leads) + middle, 0, 1).mean() < t else (low, middle)
            np.testing.assert_allclose(path.alphas(float(t)), np.clip(np.array(path.leads) + low, 0, 1), atol=1e-12)


def test_any_alphas_are_their_own_leads() -> None:
    rng = np.random.default_rng(1)
    for count in (2, 3, 7):
        alphas = rng.uniform(size=count).round(3)
        found = Blocks(leads=tuple(alphas)).alphas(float(alphas.mean()))
        np.testing.assert_allclose(found, alphas, atol=1e-6)


@pytest.mark.parametrize("num_blocks", [1, 2, 3, 5])
@pytest.mark.parametrize("lead", [0.0, 0.3, 1.0])
def test_equal_leads_are_the_lerp_to_the_bit(num_blocks: int, lead: float) -> None:
    start, end, layers = ends(5)
    for t in (0.1, 0.3, 1 / 3, 0.7, 0.9999, 1.0):
        found = Blocks(leads=(lead,) * num_blocks).at(start, end, t, layers)
        assert state_hash(found) == state_hash(lerp(start, end, t))


@pytest.mark.parametrize("leads", LEADS)
def test_both_ends_are_exact(leads: tuple[float, ...]) -> None:
    start, end, layers = ends(6)
    assert state_hash(Blocks(leads=leads).at(start, end, 0.0, layers)) == state_hash(start)
    assert state_hash(Blocks(leads=leads).at(start, end, 1.0, layers)) == state_hash(end)


@pytest.mark.parametrize(("count", "blocks"), [(3, [0, 1, 2]), (4, [0, 0, 1, 2]), (7, [0, 0, 0, 1, 1, 2, 2])])
def test_blocks_are_equal_runs_of_layers_by_depth(count: int, blocks: list[int]) -> None:
    start, end, layers = ends(count)
    path = Blocks(leads=(0.0, 0.5, 0.2))
    found = path.at(start, end, 0.4, layers)
    for index, block in enumerate(blocks):
        name, alpha = f"layer{index + 1}", path.alphas(0.4)[block]
        expected = start[name].double() + alpha * (end[name].double() - start[name].double())
        torch.testing.assert_close(found[name].double(), expected, atol=1e-6, rtol=1e-6)
    assert torch.equal(found["loose"], torch.lerp(start["loose"], end["loose"], 0.4))


def test_more_blocks_than_layers_are_refused() -> None:
    start, end, layers = ends(2)
    with pytest.raises(FoundationError, match="leads for 3 blocks and the model has 2 layers; write at most 2"):
        Blocks(leads=(0.0, 0.5, 1.0)).at(start, end, 0.5, layers)


def test_a_common_shift_is_the_same_path() -> None:
    assert Blocks(leads=(0.2, 0.5, 0.8)) == Blocks(leads=(0.0, 0.3, 0.6))
