"""A LoRA's frozen matrices in half precision: the same training to the bit, in half the memory."""

import copy
from typing import Any

import pytest
import torch
from test_lm_training import learner_of, recipe_of
from tiny_clip import random_pixels, save_clip, task
from tiny_lm import save_lm
from train.learners import VectorLearner

from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.learner import ClipLearner
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.protocol import Learner
from rayforget.foundations.rounded import LINEAR, only_multiplied
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.train import trainer as of_trainer
from rayforget.train.loop import Snapshot, train
from rayforget.train.penalties.kd import Distillation
from rayforget.train.trainer import Trainer

CPU = torch.device("cpu")
LORA = LoraAdapter(rank=2, dropout=0.1)
KD = Distillation(kind="kd", strength=1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CausalLm]:
    folder = tmp_path_factory.mktemp("lms")
    return {
        name: load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(save_lm(folder / name, name))), CPU)
        for name in ("opt", "llama")
    }


def trained(learner: Learner, recipe: Recipe) -> Snapshot:
    (*_, last) = train(learner, recipe, seed=1, fractions=(1.0,))
    return last


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("opt", {"penalties": (KD,)}),
        pytest.param("opt", {"gradient_checkpointing": True}, marks=pytest.mark.slow),
        pytest.param("llama", {}, marks=pytest.mark.slow),
    ],
)
def test_a_training_is_the_same_to_the_bit(
    models: dict[str, CausalLm], monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, Any]
) -> None:
    recipe = recipe_of(adapter=LORA, precision="bf16", epochs=1, **settings)
    found = trained(learner_of(models[name]), recipe)
    monkeypatch.setattr(of_trainer, "keep_in_half", lambda *_: {})
    expected = trained(learner_of(models[name]), recipe)
    assert found.facts["loss"] == expected.facts["loss"]
    assert all(torch.equal(tensor, expected.theta_1[name]) for name, tensor in found.theta_1.items())


def test_frozen_matrices_take_two_bytes_and_nothing_else_changes_its_type(models: dict[str, CausalLm]) -> None:
    learner = learner_of(models["llama"])
    before = {name: weight.clone() for name, weight in learner.module.named_parameters()}
    trainer = Trainer(learner, recipe_of(adapter=LORA, precision="bf16"), seed=0)
    linear = {f"{name}.weight" for name, part in models["llama"].head.named_modules() if isinstance(part, LINEAR)}
    output = {f"lm.{name}" for name, _ in models["llama"].head.lm.named_parameters() if "lm_head" in name}
    types = {name.replace(".base_layer.", "."): weight for name, weight in learner.module.named_parameters()}
    for name, weight in before.items():
        half = name in linear - output
        assert types[name].dtype == (torch.bfloat16 if half else torch.float32), name
        assert torch.equal(types[name], weight.bfloat16() if half else weight)
    assert all(weight.dtype == torch.float32 for weight in trainer._trained.values())
    theta_1 = trainer.theta_1()
    assert all(torch.equal(tensor, models["llama"].theta_0[name]) for name, tensor in theta_1.items()), "B is 0"


def test_in_fp32_with_dora_or_without_theta_0s_values_nothing_is_rounded(models: dict[str, CausalLm]) -> None:
    for settings in ({"adapter": LORA}, {"adapter": LoraAdapter(rank=2, use_dora=True), "precision": "bf16"}):
        trainer = Trainer(learner_of(models["opt"]), recipe_of(**settings), seed=0)
        adapted = {lora.name for lora in trainer._factors}
        assert not adapted & trainer._full.keys()
    unknown = VectorLearner()
    Trainer(unknown, recipe_of(adapter=LORA, precision="bf16"), seed=0)
    assert {weight.dtype for weight in unknown.module.parameters()} == {torch.float32}


def test_a_module_that_reads_its_layers_types_stays_as_it_was(models: dict[str, CausalLm]) -> None:
    learner = learner_of(models["opt"])
    layer: Any = learner.module.lm.get_submodule("model.decoder.layers.0.fc2")
    forward = layer.forward
    layer.forward = lambda x: forward(x) * (2 if layer.weight.dtype == torch.bfloat16 else 1)
    trainer = Trainer(learner, recipe_of(adapter=LoraAdapter(rank=2, targets=("fc1",)), precision="bf16"), seed=0)
    assert trainer._full == {}
    assert {weight.dtype for weight in learner.module.parameters()} == {torch.float32}
    theta_1 = trainer.theta_1()
    assert all(torch.equal(tensor, models["opt"].theta_0[name]) for name, tensor in theta_1.items())


@pytest.mark.parametrize("head", [pytest.param("frozen", marks=pytest.mark.slow), "text"])
def test_a_clip_trains_the_same_to_the_bit(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, head: Any) -> None:
    model = load_clip(save_clip(tmp_path), CPU)
    vectors, speciality = ClassVectors(model), task("s", ("dog", "house"), templates=("a {}.",))
    recipe = Recipe(
        method="m", head=head, learning_rate=1e-2, epochs=1, batch_size=4, seed=0, precision="bf16", adapter=LORA
    )

    def last() -> Snapshot:
        learner = ClipLearner(
            model,
            build_module(model, head, vectors.of_theta_0(speciality), gradient_checkpointing=False),
            random_pixels(9, 2),
            task=speciality,
            augmentation="none",
            initial=model.theta_0,
            tokens=vectors.tokens(speciality) if head == "text" else None,
        )
        return trained(learner, recipe)

    found = last()
    monkeypatch.setattr(of_trainer, "keep_in_half", lambda *_: {})
    expected = last()
    assert all(torch.equal(tensor, expected.theta_1[name]) for name, tensor in found.theta_1.items())


def test_what_an_embedding_shares_is_not_only_multiplied(models: dict[str, CausalLm]) -> None:
    lm = copy.deepcopy(models["opt"].head.lm)
    embedding = lm.get_input_embeddings().weight  # type: ignore[operator]
    assert lm.get_output_embeddings().weight is embedding  # type: ignore[operator]
    assert all(weight is not embedding for weight in only_multiplied(lm, LINEAR))
