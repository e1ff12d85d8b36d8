"""A language model's folder -> theta_0 and a module whose answers are the model's own."""

from pathlib import Path

import pytest
import torch
from tiny_lm import ARCHITECTURES, save_lm
from torch.func import functional_call

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.head import causal_mask
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.space.tasks.text import Sequences

CPU = torch.device("cpu")


def _load(folder: Path, **settings: object) -> CausalLm:
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder), **settings), CPU)


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLm:
    return _load(save_lm(tmp_path_factory.mktemp(request.param), request.param))


@torch.no_grad()
def _own_logits(model: CausalLm, tokens: list[int]) -> torch.Tensor:
    logits: torch.Tensor = model.head.lm(input_ids=torch.tensor([tokens])).logits[0]
    return logits


@torch.no_grad()
def test_sequences_side_by_side_do_not_see_each_other(model: CausalLm) -> None:
    first, second = [5, 9, 300, 7], [11, 12, 13, 14, 15, 400, 17]
    tokens = torch.tensor([[*first, *second]])
    owners = torch.tensor([[0] * len(first) + [1] * len(second)])
    positions = torch.tensor([[*range(len(first)), *range(len(second))]])
    mask = causal_mask(owners, torch.zeros_like(owners))
    logits = model.head(features=model.head(tokens=tokens, positions=positions, mask=mask))
    torch.testing.assert_close(logits[: len(first)], _own_logits(model, first), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits[len(first) :], _own_logits(model, second), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_fillers_on_the_right_change_nothing(model: CausalLm) -> None:
    tokens = torch.tensor([[5, 9, 300, model.pad_token, model.pad_token]])
    found = model.head(features=model.head(tokens=tokens, positions=torch.arange(5)[None]))[:3]
    torch.testing.assert_close(found, _own_logits(model, [5, 9, 300]), atol=1e-4, rtol=1e-4)


def test_tied_tensors_stand_once_in_theta_0(model: CausalLm) -> None:
    pointers = [tensor.data_ptr() for tensor in model.theta_0.values()]
    assert len(set(pointers)) == len(pointers)
    embedding = model.head.lm.get_input_embeddings().weight
    tied = model.head.output.weight is embedding
    assert tied == bool(model.config["tie_word_embeddings"])
    assert sum(tensor.shape == embedding.shape for tensor in model.theta_0.values()) == (1 if tied else 2)


@torch.no_grad()
def test_other_weights_stand_in_for_input_and_output_alike(model: CausalLm) -> None:
    generator = torch.Generator().manual_seed(0)
    theta = {name: t + 0.1 * torch.randn(t.shape, generator=generator) for name, t in model.theta_0.items()}
    tokens = torch.tensor([[4, 8, 15]])
    inputs = {"tokens": tokens, "positions": torch.arange(3)[None]}
    weights = model.weights(theta)
    features = functional_call(model.head, weights, kwargs=inputs)
    found = functional_call(model.head, weights, kwargs={"features": features})
    before = {name: t.clone() for name, t in model.theta_0.items()}
    for name, tensor in model.theta_0.items():
        tensor.copy_(theta[name])
    expected = _own_logits(model, [4, 8, 15])
    for name, tensor in model.theta_0.items():
        tensor.copy_(before[name])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_half_precision_on_disk_becomes_fp32_and_no_dropout_is_left(tmp_path: Path) -> None:
    model = _load(save_lm(tmp_path, "opt", dtype=torch.float16))
    assert {tensor.dtype for tensor in model.theta_0.values()} == {torch.float32}
    assert model.head.lm.config.dropout == 0.0
    model.head.train()
    inputs = {"tokens": torch.tensor([[4, 8, 15]]), "positions": torch.arange(3)[None]}
    torch.testing.assert_close(model.head(**inputs), model.head(**inputs), atol=0, rtol=0)


def test_special_tokens_come_from_the_configuration_where_the_tokenizer_names_none(tmp_path: Path) -> None:
    model = _load(save_lm(tmp_path, "opt", galactica=True))
    assert model.tokenizer.eos_token_id is None
    assert (model.prefix_token, model.pad_token, model.eos_token) == (0, 1, 2)
    assert 0 not in model.tokenizer("the dog").input_ids


def test_the_positions_bound_the_length(tmp_path: Path) -> None:
    folder = save_lm(tmp_path, "opt")
    whole = _load(folder)
    assert (whole.train_length, whole.max_length) == (64, 64)
    trained = _load(folder, sequences=Sequences(length=17))
    assert (trained.train_length, trained.max_length) == (17, 64)  # scored with all positions, as by lm-eval
    scored = _load(folder, sequences=Sequences(scored_length=17))
    assert (scored.train_length, scored.max_length) == (64, 17)
    for name in ("length", "scored_length"):
        with pytest.raises(FoundationError, match=rf"sequences.{name} is 65, the model has 64 positions"):
            _load(folder, sequences=Sequences(**{name: 65}))


def test_the_last_position_of_opt_is_usable(tmp_path: Path) -> None:
    model = _load(save_lm(tmp_path, "opt"))  # OPT's positions start at 2 in their table
    tokens = torch.arange(64)[None] + 4
    with torch.no_grad():
        found = model.head(features=model.head(tokens=tokens, positions=torch.arange(64)[None]))
    torch.testing.assert_close(found, _own_logits(model, tokens[0].tolist()), atol=1e-4, rtol=1e-4)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = save_lm(tmp_path, "opt")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"vocab_size": 512', '"vocab_size": 100'))
    with pytest.raises(FoundationError, match=r"must belong together|cannot load"):
        _load(folder)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "a/b/c"])
def test_a_model_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(FoundationError, match=name):
        load_causal_lm(CausalLmFoundation(kind="causal_lm", model=name), CPU)
