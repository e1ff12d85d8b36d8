"""Models made on the device are proven to be those of the CPU, or are scored again from these."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from vector_equipment import VectorFoundation, VectorScorer, vector_equipment

from rayforget.evaluate.finite import Scored
from rayforget.foundations.protocol import State
from rayforget.interpolate.fingerprint import fingerprint
from rayforget.interpolate.hashing import state_hash
from rayforget.trial.alpha_models import AlphaModels, Ends, theta_of
from rayforget.trial.curve import score_spots
from rayforget.values.points import Spot
from rayforget.values.scores import Split

CPU = torch.device("cpu")
LINES = "lines(gamma=0.2)"
SPOTS = (Spot(0.2), Spot(0.5), Spot(1.0), Spot(0.5, LINES))


class Seeing(VectorScorer):
    """Notes the hash of every model that it scores."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        self.seen += [state_hash(theta) for theta in thetas]
        return super().score(thetas, split)


@pytest.fixture
def ends() -> Ends:
    foundation = VectorFoundation()
    generator = torch.Generator().manual_seed(0)
    theta_1 = {name: x + 0.1 * torch.randn(x.shape, generator=generator) for name, x in foundation.theta_0.items()}
    return Ends(theta_0=foundation.theta_0, theta_1=theta_1, layers=foundation.layers(None))  # type: ignore[arg-type]


def nudged(theta: dict[str, Tensor]) -> dict[str, Tensor]:
    """One weight's last bit is another."""
    name = sorted(theta)[0]
    changed = theta[name].clone()
    changed.view(torch.int32).flatten()[-1] ^= 1
    return {**theta, name: changed}


def hashes(ends: Ends, *spots: Spot) -> list[str]:
    return [state_hash(theta_of(ends, spot)) for spot in spots]


def test_models_that_are_the_cpus_are_scored_once(ends: Ends, tmp_path: Path) -> None:
    scorer, made = Seeing(), list[Spot]()

    def there(spot: Spot) -> dict[str, Tensor]:
        made.append(spot)
        return theta_of(ends, spot)

    equipment = vector_equipment(tmp_path, scorer=scorer)
    models = AlphaModels(ends, CPU, there=there)
    found = score_spots(models, SPOTS, scorer, "val", equipment)
    assert tuple(made) == SPOTS == tuple(found)
    assert scorer.seen == hashes(ends, *SPOTS)
    assert models.disproved() == []


def test_a_model_of_which_one_bit_differs_is_scored_again_and_its_path_is_left_to_the_cpu(
    ends: Ends, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scorer, made, distrusted = Seeing(), list[Spot](), set[str]()

    def there(spot: Spot) -> dict[str, Tensor]:
        made.append(spot)
        theta = theta_of(ends, spot)
        return nudged(theta) if spot.path == LINES else theta

    equipment = vector_equipment(tmp_path, scorer=scorer)
    models = AlphaModels(ends, CPU, there=there, distrusted=distrusted)
    with caplog.at_level(logging.WARNING):
        found = score_spots(models, SPOTS, scorer, "val", equipment)
    assert scorer.seen[: len(SPOTS) - 1] == hashes(ends, *SPOTS[:-1])
    assert scorer.seen[-2:] == [state_hash(nudged(theta_of(ends, SPOTS[-1]))), *hashes(ends, SPOTS[-1])]
    (expected,) = VectorScorer().score([theta_of(ends, SPOTS[-1])], "val")
    assert [score.total for score in found[SPOTS[-1]].values()] == [s.total for s in expected.values()]  # type: ignore[union-attr]
    assert f"{LINES}: models made on the device are not the CPU's" in caplog.text
    assert distrusted == {LINES}

    del scorer.seen[:], made[:]
    score_spots(models, [Spot(0.3), Spot(0.3, LINES)], scorer, "val", equipment)
    assert made == [Spot(0.3)], "the path is made on the CPU at once"
    assert scorer.seen == hashes(ends, Spot(0.3), Spot(0.3, LINES))
    another = AlphaModels(ends, CPU, there=there, distrusted=distrusted)
    another.theta(Spot(0.4, LINES))
    assert made == [Spot(0.3)]


def test_on_a_cpu_models_are_made_once_and_need_no_proof(ends: Ends) -> None:
    models = AlphaModels(ends, CPU)
    assert state_hash(models.theta(SPOTS[0])) == hashes(ends, SPOTS[0])[0]
    assert models.disproved() == []


@pytest.mark.parametrize("shape", [(), (1,), (7, 3), (2**16 - 1,), (2**16,), (2**16 + 1,), (19, 2**16 + 5)])
def test_a_fingerprint_tells_every_single_bit(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    own = fingerprint({"x": x})
    assert torch.equal(own, fingerprint({"x": x.clone()}))
    for place in {0, x.numel() // 2, x.numel() - 1}:
        for bit in (0, 12, 31):
            other = x.clone()
            other.view(torch.int32).view(-1)[place] ^= 1 << bit if bit < 31 else -(2**31)
            assert not torch.equal(own, fingerprint({"x": other})), (place, bit)


def test_a_fingerprint_is_that_of_its_definition_whatever_the_pieces() -> None:
    x = torch.randn(3 * 2**16 + 11, generator=torch.Generator().manual_seed(2))
    drawn = torch.randint(-(2**62), 2**62, (2**16,), generator=torch.Generator().manual_seed(0)).tolist()
    total = 0
    for number, bits in enumerate(x.view(torch.int32).tolist()):
        row, column = divmod(number, 2**16)
        golden = 0x9E3779B97F4A7C15
        total += bits * (2 * drawn[column] + 1) * (row * golden | 1)
    assert int(fingerprint({"x": x})) % 2**64 == total % 2**64


def test_swapped_and_empty_tensors_have_fingerprints_of_their_own() -> None:
    a, b = torch.randn(70_000), torch.randn(70_000)
    assert torch.equal(fingerprint({"a": a, "b": b}).flip(0), fingerprint({"a": b, "b": a}))
    assert not torch.equal(fingerprint({"x": a}), fingerprint({"x": a.flip(0)}))
    assert fingerprint({}).shape == (0,)
    assert fingerprint({"x": torch.zeros(0, 3)}).tolist() == [0]


@pytest.mark.parametrize("fault", ["raises", "leaves a tensor elsewhere"])
def test_a_path_that_cannot_be_walked_on_the_device_is_walked_on_the_cpu(
    ends: Ends, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    scorer, made = Seeing(), list[Spot]()

    def there(spot: Spot) -> dict[str, Tensor]:
        made.append(spot)
        theta = theta_of(ends, spot)
        if spot.path != LINES:
            return theta
        if fault == "raises":
            raise RuntimeError("Expected all tensors to be on the same device")
        return {name: tensor.to("meta") for name, tensor in theta.items()}

    models = AlphaModels(ends, CPU, there=there)
    spots = (*SPOTS, Spot(0.7, LINES))
    score_spots(models, spots, scorer, "val", vector_equipment(tmp_path, scorer=scorer))
    assert scorer.seen == hashes(ends, *spots)
    assert made == list(SPOTS), "its second model is not tried there"
    assert f"{LINES}: its models are made on the CPU" in caplog.text
