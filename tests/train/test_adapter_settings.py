"""rsLoRA's factor, LoRA+'s two learning rates, layers trained in full beside adapters, and names for many layers."""

import copy
import math
from typing import Any

import pytest
import torch
from tiny_clip import TEMPLATES, save_clip
from tiny_language import tiny_language_model
from torch import nn
from train.learners import VectorLearner

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.shapes import trained_layers
from rayforget.foundations.causal_lm.source import causal_source
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.text import class_features, prompt_tokens
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.train.lora import attach_lora, merged_weights
from rayforget.train.lora_targets import find_targets, place_in_block
from rayforget.train.penalties.kd import Distillation
from rayforget.train.trainer import Trainer

CPU = torch.device("cpu")


def recipe(**settings: Any) -> Recipe:
    adapter = LoraAdapter(rank=settings.pop("rank", 2), **settings.pop("adapter", {}))
    base = {"learning_rate": 0.1, "epochs": 2, "batch_size": 8, "seed": 0, "weight_decay": 0.0, "warmup_fraction": 0.0}
    return Recipe(method="lora", adapter=adapter, **(base | settings))


@pytest.mark.parametrize("rank", [1, 4, 9])
def test_rslora_divides_by_the_root_of_the_rank(rank: int) -> None:
    learner = VectorLearner(width=11)
    start = learner.module.get_parameter("q_proj.weight").detach().clone()
    factors = attach_lora(learner.module, LoraAdapter(rank=rank, scale=3.0, use_rslora=True), seed=0)
    with torch.no_grad():
        factors[0].b.normal_()
    expected = start.double() + 3.0 / math.sqrt(rank) * factors[0].b.detach().double() @ factors[0].a.detach().double()
    merged = merged_weights(learner.module, factors)
    torch.testing.assert_close(merged["q_proj.weight"].double(), expected, atol=1e-6, rtol=1e-6)
    plain = VectorLearner(width=11)
    plain.module.load_state_dict(merged)
    torch.testing.assert_close(learner.module(learner.features), plain.module(plain.features), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.0, 16.0])
def test_loraplus_takes_larger_steps_in_b_alone(ratio: float) -> None:
    """Adam's first step moves every weight by its learning rate, whatever its gradient."""
    settings = {"use_dora": True, "loraplus_lr_ratio": ratio, "modules_to_save": ("out_proj",)}
    trainer = Trainer(VectorLearner(), recipe(adapter=settings, clip_norm=None), seed=0)
    (lora,) = trainer._factors
    before = {name: p.detach().clone() for name, p in trainer._trained.items()}
    rate = 0.1
    trainer.take_step()
    steps = {id(p): (p.detach() - before[name]).abs() for name, p in trainer._trained.items()}
    assert lora.magnitude is not None
    torch.testing.assert_close(steps[id(lora.b)], torch.full_like(lora.b, ratio * rate), atol=0, rtol=1e-3)
    torch.testing.assert_close(steps[id(lora.magnitude)], torch.full_like(lora.magnitude, rate), atol=0, rtol=1e-3)
    full = trainer.learner.module.get_parameter("out_proj.weight")
    torch.testing.assert_close(steps[id(full)], torch.full_like(full, rate), atol=0, rtol=1e-3)
    trainer.take_step()  # now A has a gradient too
    assert 0 < (lora.a.detach() - before["q_proj.lora_A.default.weight"]).abs().max() < 1.1 * rate


def test_a_resumed_training_keeps_both_rates() -> None:
    wanted = recipe(adapter={"loraplus_lr_ratio": 4.0})
    whole, first, second = (Trainer(VectorLearner(), wanted, seed=0) for _ in range(3))
    for _ in range(5):
        whole.take_step()
    for _ in range(2):
        first.take_step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(3):
        second.take_step()
    assert all(torch.equal(tensor, second.theta_1()[name]) for name, tensor in whole.theta_1().items())


def test_layers_that_are_saved_are_trained_in_full_and_belong_to_theta_1() -> None:
    learner = VectorLearner()
    start = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    trainer = Trainer(learner, recipe(adapter={"modules_to_save": ("out_proj",)}), seed=0)
    trainer.take_step()
    theta_1 = trainer.theta_1()
    assert {name for name in start if not torch.equal(start[name], theta_1[name])} == {
        "q_proj.weight", "out_proj.weight", "out_proj.bias",
    }  # fmt: skip
    change = theta_1["out_proj.weight"] - start["out_proj.weight"]
    assert torch.linalg.matrix_rank(change) == 3  # no adapter of rank 2 sits there
    torch.testing.assert_close(theta_1["out_proj.weight"], learner.module.get_parameter("out_proj.weight").detach())


def test_the_teacher_is_theta_0_in_the_saved_layers_too() -> None:
    learner = VectorLearner()
    kd = (Distillation(kind="kd", strength=1.0),)
    trainer = Trainer(learner, recipe(adapter={"modules_to_save": ("out_proj",)}, penalties=kd), seed=0)
    for _ in range(4):
        trainer.take_step()
    inputs = {"features": learner.features}
    hooks: Any = trainer._hooks["kd"]
    with torch.no_grad():
        hooks.before_forward(inputs)
    torch.testing.assert_close(hooks._answer(slice(None)), VectorLearner().module(**inputs))


def test_saved_layers_that_the_model_does_not_use_are_refused_by_name() -> None:
    learner = VectorLearner()
    learner.module.idle = nn.LayerNorm(3)
    trainer = Trainer(learner, recipe(adapter={"modules_to_save": ("idle",)}), seed=0)
    with pytest.raises(FoundationError, match=r"layers that the model does not use: idle; take them out"):
        trainer.take_step()


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ({"modules_to_save": ("nothing",)}, r"'nothing', which matches no layer .*there are: out_proj, q_proj"),
        ({"targets": ("attention",)}, r"'attention', which matches no transformer blocks with it"),
    ],
)
def test_names_without_a_match_are_refused(adapter: dict[str, Any], message: str) -> None:
    with pytest.raises(FoundationError, match=message):
        attach_lora(VectorLearner().module, LoraAdapter(rank=2, **adapter), seed=0)


def test_a_layer_inside_a_saved_one_takes_no_adapter() -> None:
    module = nn.Sequential(nn.Sequential(nn.Linear(3, 3)), nn.Linear(3, 3))
    assert find_targets(module, LoraAdapter(rank=1, modules_to_save=("0",)), None) == ["1"]
    with pytest.raises(FoundationError, match=r"takes in 0\.0, which is a part of adapter\.modules_to_save"):
        find_targets(module, LoraAdapter(rank=1, targets=("0.0",), modules_to_save=("0",)), None)


PLACES = {
    "opt": ("k_proj v_proj q_proj out_proj", "fc1 fc2"),
    "llama": ("q_proj k_proj v_proj o_proj", "gate_proj up_proj down_proj"),
    "neox": ("query_key_value dense", "dense_h_to_4h dense_4h_to_h"),
}


@pytest.mark.parametrize("kind", PLACES)
def test_presets_take_a_language_models_attentions_or_perceptrons(kind: str) -> None:
    lm = copy.deepcopy(tiny_language_model(kind).head.lm)  # type: ignore[arg-type]
    found = []
    for preset in ("attention", "mlp"):
        names = find_targets(lm, LoraAdapter(rank=1, targets=(preset,)), None)
        found.append(list(dict.fromkeys(name.rsplit(".", 1)[-1] for name in names)))
        assert len(names) == 2 * len(found[-1])  # two blocks
    assert tuple(" ".join(names) for names in found) == PLACES[kind]
    both = find_targets(lm, LoraAdapter(rank=1, targets=("attention", "mlp")), lm.get_output_embeddings())
    every = find_targets(lm, LoraAdapter(rank=1), lm.get_output_embeddings())
    assert both == every == find_targets(lm, LoraAdapter(rank=1, targets=("all-linear",)), lm.get_output_embeddings())


def test_presets_know_other_families_parts() -> None:
    def part(kind: str, **children: nn.Module) -> nn.Module:
        made: nn.Module = type(kind, (nn.Module,), {})()
        for name, child in children.items():
            made.add_module(name, child)
        return made

    def linear() -> nn.Linear:
        return nn.Linear(1, 1)

    own = part("BertAttention", self=part("BertSelfAttention", query=linear()), output=part("Out", dense=linear()))
    bert = part("BertLayer", attention=own, intermediate=part("BertIntermediate", dense=linear()))
    jamba = part(
        "JambaMambaDecoderLayer", mamba=part("JambaMambaMixer", in_proj=linear()), feed_forward=part("X", w=linear())
    )
    hybrid = part("ZambaLayer", attn=part("Attention", q=linear()), mamba=part("MambaMixer", in_proj=linear()))
    clip = part("ResidualAttentionBlock", attn=part("SplitAttention", q_proj=linear()), mlp=nn.Sequential(linear()))
    mixture = part("Lfm2MoeDecoderLayer", conv=part("Lfm2MoeShortConv", out_proj=linear()))
    delta = part("Qwen3_5MoeDecoderLayer", linear_attn=part("Qwen3_5MoeGatedDeltaNet", q=linear()))
    experts = part("MixtralDecoderLayer", block_sparse_moe=part("MixtralSparse", w1=linear()))
    kinds = {"bert": bert, "jamba": jamba, "hybrid": hybrid, "clip": clip}
    mixtures = {"mixture": mixture, "delta": delta, "experts": experts}
    module = part("Model", **kinds, **mixtures, proj=linear())
    places = {name: place_in_block(module, name) for name, one in module.named_modules() if isinstance(one, nn.Linear)}
    assert places == {
        "bert.attention.self.query": "attention",
        "bert.attention.output.dense": "attention",
        "bert.intermediate.dense": "mlp",
        "jamba.mamba.in_proj": None,
        "jamba.feed_forward.w": "mlp",
        "hybrid.attn.q": "attention",
        "hybrid.mamba.in_proj": None,
        "clip.attn.q_proj": "attention",
        "mixture.conv.out_proj": None,
        "delta.linear_attn.q": "attention",
        "experts.block_sparse_moe.w1": "mlp",
        "clip.mlp.0": "mlp",
        "proj": None,
    }


@pytest.mark.parametrize("head", ["frozen", "trained", "text"])
def test_every_setting_trains_a_clip_with_each_head(tmp_path: Any, head: Any) -> None:
    model = load_clip(save_clip(tmp_path), CPU)
    tokens = prompt_tokens(model.clip, model.tokenizer, ("dog", "house"), TEMPLATES)
    with torch.no_grad():
        classifier = class_features(model.text, tokens, CPU)
    module = build_module(model, head, classifier, gradient_checkpointing=False)
    inputs = {"images": torch.randn(3, 3, 24, 24), **({"tokens": tokens[:, 0]} if head == "text" else {})}
    expected, before = module(**inputs), {name: x.clone() for name, x in module.state_dict().items()}
    settings: dict[str, Any] = {
        "use_rslora": True,
        "use_dora": True,
        "targets": ("attention",),
        "modules_to_save": ("ln_post",),
    }
    factors = attach_lora(module, LoraAdapter(rank=2, **settings), seed=0)
    torch.testing.assert_close(module(**inputs), expected, atol=1e-4, rtol=1e-4)
    assert {lora.name.split(".")[-3] for lora in factors} == {"attn"}
    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        module(**inputs).logsumexp(1).sum().backward()
        optimiser.step()
    theta_1 = merged_weights(module, factors)
    assert theta_1.keys() == before.keys()
    changed = {name for name in before if not torch.equal(theta_1[name], before[name])}
    saved = {name for name in before if "ln_post" in name} | ({"head.weight"} if head == "trained" else set())
    assert changed == {lora.name for lora in factors} | saved


def test_names_are_checked_on_a_model_without_weights(tmp_path: Any) -> None:
    from tiny_lm import save_lm

    spec = CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "opt")))
    layers = trained_layers(causal_source(spec))
    assert layers is not None
    assert find_targets(layers, LoraAdapter(rank=1, targets=("mlp",), modules_to_save=("final_layer_norm",)), None)
