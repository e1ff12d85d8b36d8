"""LoRA: at step 0 the merge is theta_0, later W0 + scale * B A; names without a match are refused."""

import copy

import pytest
import torch
from tiny_language import tiny_language_model
from train.learners import VectorLearner

from rayforget.errors import FoundationError
from rayforget.space.recipe import LoraAdapter
from rayforget.train.lora import attach_lora, merged_weights


def adapter(rank: int, scale: float = 2.0) -> LoraAdapter:
    return LoraAdapter(rank=rank, scale=scale, targets=("q_proj", "out_proj"))


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_merged_at_step_0_is_theta_0_to_the_bit(rank: int) -> None:
    learner = VectorLearner()
    before = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    factors = attach_lora(learner.module, adapter(rank), seed=0)
    merged = merged_weights(learner.module, factors)
    assert merged.keys() == before.keys()
    assert all(torch.equal(merged[name], before[name]) for name in before)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_merged_model_answers_as_the_adapted_one(scale: float) -> None:
    learner, plain = VectorLearner(), VectorLearner()
    factors = attach_lora(learner.module, adapter(3, scale), seed=0)
    with torch.no_grad():
        for lora in factors:
            lora.b.normal_()
    plain.module.load_state_dict(merged_weights(learner.module, factors))
    torch.testing.assert_close(learner.module(learner.features), plain.module(plain.features), atol=1e-5, rtol=1e-5)


def test_only_adapters_are_trained_and_a_rank_changes_no_scale() -> None:
    for rank in (1, 4):
        learner = VectorLearner()
        factors = attach_lora(learner.module, adapter(rank), seed=0)
        trained = {name for name, p in learner.module.named_parameters() if p.requires_grad}
        assert all(".lora_A." in name or ".lora_B." in name for name in trained)
        assert len(trained) == 2 * len(factors) == 4
        assert {lora.scale for lora in factors} == {2.0}


def test_start_depends_on_the_seed_alone() -> None:
    starts = []
    for _ in range(2):
        torch.rand(3)
        learner = VectorLearner()
        starts.append([lora.a.detach().clone() for lora in attach_lora(learner.module, adapter(3), seed=5)])
    assert all(torch.equal(first, second) for first, second in zip(*starts, strict=True))


def test_a_target_that_matches_nothing_is_refused_with_what_exists() -> None:
    with pytest.raises(FoundationError, match=r"'k_proj'.*out_proj, q_proj"):
        attach_lora(VectorLearner().module, LoraAdapter(rank=2, targets=("k_proj",)), seed=0)


@pytest.mark.parametrize("targets", [("lm_head",), ("q_proj", "lm_head")])
def test_a_tied_output_layer_is_refused_by_name(targets: tuple[str, ...]) -> None:
    lm = tiny_language_model("qwen2").head.lm
    with pytest.raises(FoundationError, match=r"takes in lm_head, whose weight is tied to model\.embed_tokens's"):
        attach_lora(lm, LoraAdapter(rank=2, targets=targets), seed=0)
    assert not any("lora" in name for name, _ in lm.named_parameters())


def test_an_output_layer_of_its_own_takes_an_adapter() -> None:
    lm = copy.deepcopy(tiny_language_model("llama").head.lm)
    (factors,) = attach_lora(lm, LoraAdapter(rank=2, targets=("lm_head",)), seed=0)
    torch.nn.init.normal_(factors.b)
    merged = merged_weights(lm, [factors])
    assert not torch.equal(merged["lm_head.weight"], merged["model.embed_tokens.weight"])
