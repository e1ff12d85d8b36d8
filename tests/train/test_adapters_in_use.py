"""Adapters that a model does not use are refused by name after one step; layers that are no plain product get none."""

import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_clip import RESNET, TEMPLATES, save_clip
from torch import Tensor, nn
from train.learners import VectorLearner

from rayforget.errors import FoundationError
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.text import class_features, prompt_tokens
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.train.adapters_in_use import refuse_without_gradient
from rayforget.train.lora import attach_lora, merged_weights
from rayforget.train.trainer import Trainer

CPU = torch.device("cpu")


def _recipe(**adapter: Any) -> Recipe:
    lora = LoraAdapter(kind="lora", rank=2, **adapter)
    return Recipe(method="lora", learning_rate=0.1, epochs=1, batch_size=8, seed=0, adapter=lora)


class _Router(nn.Linear):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), None


class _Odd(nn.Module):
    """One layer is called, one is read by its weight, one asks for the type, one is a router, one is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.read, self.asked = nn.Linear(5, 7), nn.Linear(7, 7), nn.Linear(7, 3)
        self.router, self.idle = _Router(7, 7), nn.Linear(7, 7)

    def forward(self, features: Tensor) -> Tensor:
        x = F.linear(torch.tanh(self.called(features)), self.read.weight)
        x = x * self.router(x)[0].softmax(-1)
        return self.asked(x) if isinstance(self.asked, nn.Linear) else x @ self.asked


class _OddLearner(VectorLearner):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.module = _Odd()


def test_adapters_that_the_model_does_not_use_are_refused_by_name() -> None:
    trainer = Trainer(_OddLearner(), _recipe(), seed=0)
    with pytest.raises(
        FoundationError, match=r"2 of 4 adapters .*: read, idle; write adapter.targets: \[asked, called\]"
    ):
        trainer.take_step()


def test_a_layer_whose_type_is_asked_for_is_adapted() -> None:
    learner = _OddLearner()
    trainer = Trainer(learner, _recipe(targets=("asked", "called")), seed=0)
    before = merged_weights(learner.module, [])
    trainer.take_step()
    after = trainer.theta_1()
    assert {name for name, tensor in after.items() if not torch.equal(tensor, before[name])} == {
        "asked.weight",
        "called.weight",
    }


def test_a_layer_that_computes_more_than_its_product_is_no_target() -> None:
    names = [lora.name for lora in attach_lora(_Odd(), LoraAdapter(rank=2), seed=0)]
    assert names == ["called.weight", "read.weight", "asked.weight", "idle.weight"]
    with pytest.raises(FoundationError, match=r"'router', which matches no linear layer"):
        attach_lora(_Odd(), LoraAdapter(rank=2, targets=("router",)), seed=0)


class _Product(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


class _Scaled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_linear_layer_in_other_words_is_a_target_and_one_with_another_product_is_none() -> None:
    module = nn.ModuleDict({"same": _Product(5, 7), "other": _Scaled(5, 7)})  # Falcon's layers are such
    assert [lora.name for lora in attach_lora(module, LoraAdapter(rank=2), seed=0)] == ["same.weight"]


def test_a_model_that_cannot_run_with_adapters_says_so() -> None:
    learner = _OddLearner()
    learner.module.forward = lambda features: features @ learner.module.called  # type: ignore[method-assign,assignment]
    with pytest.raises(FoundationError, match=r"cannot run with adapters in these layers \(TypeError"):
        Trainer(learner, _recipe(), seed=0).take_step()


def test_stacked_experts_are_said_to_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    module = nn.Sequential(nn.Linear(5, 7))
    module.experts = nn.Module()
    module.experts.up = nn.Parameter(torch.zeros(4, 7, 3))
    with caplog.at_level(logging.WARNING):
        attach_lora(module, LoraAdapter(rank=2), seed=0)
    assert "1 stacks of experts are none (experts.up and so on, " in caplog.text


class _Experts(nn.Module):
    """Four experts; all tokens are sent to the third."""

    def __init__(self, *, used: bool = True) -> None:
        super().__init__()
        self.used, self.called = used, nn.Linear(5, 7)
        self.experts = nn.ModuleList(nn.ModuleDict({"up": nn.Linear(7, 7)}) for _ in range(4))

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.called(features)
        expert = self.experts[2]["up"]  # type: ignore[index]
        return expert(hidden) if self.used else F.linear(hidden, expert.weight)  # type: ignore[no-any-return]


def test_experts_to_which_no_token_was_sent_are_no_dead_adapters() -> None:
    module = _Experts()
    factors = attach_lora(module, LoraAdapter(rank=2), seed=0)
    assert len(factors) == 5
    module(torch.ones(3, 5)).sum().backward()
    refuse_without_gradient(factors, CPU)


def test_experts_none_of_which_is_called_are_dead_adapters() -> None:
    module = _Experts(used=False)
    factors = attach_lora(module, LoraAdapter(rank=2), seed=0)
    module(torch.ones(3, 5)).sum().backward()
    with pytest.raises(FoundationError, match=r"4 of 5 adapters .*: experts.0.up, .*; write adapter.targets: \[called"):
        refuse_without_gradient(factors, CPU)


def test_gpt2_s_transposed_layers_are_adapted_and_merged() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=12, n_layer=1, n_head=2, n_positions=16)).eval()
    tokens = torch.arange(9)[None]
    factors = attach_lora(lm, LoraAdapter(rank=2, targets=("c_attn", "c_proj")), seed=0)
    assert len(factors) == 3  # c_proj is in both attention and perceptron
    with torch.no_grad():
        for lora in factors:
            lora.b.normal_()
        expected = lm(input_ids=tokens).logits
        plain = GPT2LMHeadModel(lm.config).eval()
        plain.load_state_dict(merged_weights(lm, factors))
        torch.testing.assert_close(plain(input_ids=tokens).logits, expected, atol=1e-5, rtol=1e-5)


SIGLIP = {"pool_type": "last", "proj_bias": True, "no_causal_mask": True}
COCA = {
    "vision": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 24, "attentional_pool": True}
    | {"attn_pooler_heads": 2, "attn_pooler_queries": 5, "output_tokens": True},
    "text": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    | {"embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {"context_length": 20, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 1},
    "custom_text": True,
}


@pytest.mark.parametrize(
    ("settings", "head", "dead"),
    [
        ({"vision": RESNET}, "frozen", 4),
        ({"vision": RESNET}, "trained", 4),
        (
            {"text": COCA["text"] | SIGLIP | {"embed_cls": False, "output_tokens": False}, "custom_text": True},
            "text",
            0,
        ),
        (COCA, "text", 0),
    ],
)
def test_towers_of_clip_use_every_adapter_or_are_refused(tmp_path, settings, head, dead):
    model = load_clip(save_clip(tmp_path, **settings), CPU)
    tokens = prompt_tokens(model.clip, model.tokenizer, ("dog", "house"), TEMPLATES)
    with torch.no_grad():
        classifier = class_features(model.text, tokens, CPU)
    module = build_module(model, head, classifier, gradient_checkpointing=False)
    factors = attach_lora(module, LoraAdapter(rank=2), seed=0)
    size = settings.get("vision", {"image_size": 24})["image_size"]
    loss = module(images=torch.randn(4, 3, size, size), **({"tokens": tokens[:, 0]} if head == "text" else {}))
    loss = F.cross_entropy(loss, torch.tensor([0, 1, 0, 1]))
    if loss.requires_grad:
        loss.backward()
    if dead:
        with pytest.raises(FoundationError, match=rf"{dead} of {dead} adapters have no effect.*visual.attnpool"):
            refuse_without_gradient(factors, CPU)
    else:
        refuse_without_gradient(factors, CPU)
        assert any("text" in lora.name for lora in factors)
        assert not any("text_decoder" in lora.name for lora in factors)
