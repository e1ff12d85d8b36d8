"""QLoRA: an adapter trained on a base in 4 bits, merged into the base in full precision; both models are scored."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_language import tiny_language_model
from torch import Tensor, nn
from train.learners import VectorLearner
from vector_equipment import no_heartbeat, vector_equipment, vector_space

from rayforget.errors import SpaceError
from rayforget.extensions import extras
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.interpolate.lerp import changed_tensors
from rayforget.planning.foundation_check import check_foundation
from rayforget.record.jobs import TrialJob
from rayforget.report.words.remarks import data_remarks
from rayforget.space.file.load import load_space
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.train.lora import adapters_off, attach_lora, merged_weights
from rayforget.train.trainer import Trainer
from rayforget.trial.pipeline import run_trial

pytest.importorskip("bitsandbytes", reason="needs the extra qlora: pip install 'rayforget[qlora]'")

CPU = torch.device("cpu")
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
"""The 16 values of the paper's appendix E."""


def by_hand(weight: Tensor) -> Tensor:
    """NF4 in blocks of 64 along the weight's memory, in float64 up to the last product."""
    codes = torch.tensor(NF4, dtype=torch.float64)
    flat = weight.reshape(-1)
    blocks = torch.cat([flat, torch.zeros(-len(flat) % 64)]).view(-1, 64)
    largest = blocks.abs().amax(1, keepdim=True)
    shares = torch.where(largest > 0, blocks.double() / largest.double(), 0.0)
    nearest = (shares[..., None] - codes).abs().argmin(-1)
    return (codes[nearest].float() * largest).view(-1)[: len(flat)].view(weight.shape)


def adapter(**settings: Any) -> LoraAdapter:
    return LoraAdapter(rank=2, base="nf4", **settings)


def recipe(**settings: Any) -> Recipe:
    base = {"learning_rate": 0.05, "epochs": 3, "batch_size": 8, "seed": 0, "weight_decay": 0.0}
    return Recipe(method="qlora", adapter=adapter(), **(base | settings))


class OneLayer(nn.Module):
    def __init__(self, rows: int, columns: int, scale: float = 0.02) -> None:
        super().__init__()
        self.q_proj = nn.Linear(columns, rows)
        generator = torch.Generator().manual_seed(rows)
        self.q_proj.weight.data = scale * torch.randn(rows, columns, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.q_proj(x)
        return found


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 5), (64, 64), (33, 70)])
def test_the_base_is_nf4_to_the_bit(rows: int, columns: int) -> None:
    module = OneLayer(rows, columns)
    start = module.q_proj.weight.detach().clone()
    factors = attach_lora(module, adapter(), seed=0)
    found = merged_weights(module, factors, in_4_bits=True)["q_proj.weight"]  # B is 0
    assert torch.equal(found, by_hand(start))
    assert torch.equal(merged_weights(module, factors)["q_proj.weight"], start)
    if rows * columns > 2000:
        assert 0.08 < float((found - start).norm() / start.norm()) < 0.10  # what 4 bits lose of Gaussian weights


def test_the_layer_computes_with_4_bits_and_passes_their_gradient_on() -> None:
    module, x = OneLayer(9, 70), torch.randn(3, 70, requires_grad=True)
    plain = copy.deepcopy(module)
    plain.q_proj.weight.data = by_hand(plain.q_proj.weight.detach())
    attach_lora(module, adapter(), seed=0)
    with adapters_off(module):
        found, expected = module(x), plain(x)
        torch.testing.assert_close(found, expected)
        (gradient,) = torch.autograd.grad(found.square().sum(), x)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected.square().sum(), x)[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = module(x)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), expected, atol=0.02, rtol=0.02)
    assert sum(tensor.numel() * tensor.element_size() for tensor in module.buffers()) == math.ceil(9 * 70 / 64) * 36


def test_a_step_is_lora_s_on_the_quantised_weights_and_merges_into_the_full_ones() -> None:
    """The factors are those of a LoRA whose base is W4; theta_1 is W + s B A."""
    learner, rounded = VectorLearner(), VectorLearner()
    start = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    rounded.module.q_proj.weight.data = by_hand(start["q_proj.weight"])  # type: ignore[union-attr]
    rounded.module.out_proj.weight.data = by_hand(start["out_proj.weight"])  # type: ignore[union-attr]
    ours, theirs = (
        Trainer(learner, recipe(), seed=0),
        Trainer(rounded, recipe().model_copy(update={"adapter": LoraAdapter(rank=2)}), seed=0),
    )
    for _ in range(4):
        ours.take_step()
        theirs.take_step()
    merged, on_4_bits = ours.theta_1(), ours.theta_1(in_4_bits=True)
    for name, tensor in theirs.theta_1().items():
        torch.testing.assert_close(on_4_bits[name], tensor)
        torch.testing.assert_close(
            merged[name] - start[name], tensor - rounded_start(start)[name], atol=1e-6, rtol=1e-5
        )
    assert not torch.equal(merged["q_proj.weight"], start["q_proj.weight"])


def rounded_start(start: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: by_hand(tensor) if tensor.ndim == 2 else tensor for name, tensor in start.items()}


def test_a_resumed_training_ends_where_the_undisturbed_one_does() -> None:
    whole, first, second = (Trainer(VectorLearner(), recipe(), seed=0) for _ in range(3))
    for trainer, steps in ((whole, 5), (first, 2)):
        for _ in range(steps):
            trainer.take_step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(3):
        second.take_step()
    assert all(torch.equal(tensor, second.theta_1()[name]) for name, tensor in whole.theta_1().items())


@pytest.mark.parametrize("kind", ["opt", "llama", "neox", "qwen2"])
def test_every_linear_layer_of_a_language_model_but_the_last_is_packed(kind: str) -> None:
    lm = tiny_language_model(kind).head
    module = CausalHead(copy.deepcopy(lm.lm)).train()
    start = {name: tensor.clone() for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    factors = attach_lora(module, adapter(targets=("attention",)), seed=0, output=module.output)
    assert set(changed_tensors(start, merged_weights(module, factors))) == set()
    packed = set(changed_tensors(start, merged_weights(module, factors, in_4_bits=True)))
    assert {lora.name for lora in factors} < packed  # the perceptrons too, which have no adapter
    assert not any("embed" in name or "head" in name for name in packed)
    tokens = torch.tensor([[5, 6, 7, 8]])
    found = module.lm(tokens).logits
    found.sum().backward()
    assert all(lora.b.grad is not None and lora.b.grad.any() for lora in factors)


def test_gpt2_s_transposed_layers_are_packed_too() -> None:
    import transformers as hf

    torch.manual_seed(0)
    lm = hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=40, n_positions=16)).eval()
    rounded, tokens = copy.deepcopy(lm), torch.tensor([[5, 6, 7, 8]])
    factors = attach_lora(lm, adapter(), seed=0, output=lm.lm_head)
    rounded.load_state_dict(merged_weights(lm, factors, in_4_bits=True), strict=False)
    assert any(lora.transposed for lora in factors)
    torch.testing.assert_close(lm(tokens).logits, rounded(tokens).logits, atol=1e-5, rtol=1e-4)


def test_the_record_has_both_scores_and_reports_say_them(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    (record,) = run_trial(TrialJob(name="0001-qlora", recipe=recipe()), equipment, no_heartbeat)
    assert record.status == "ok", record.reason
    fact = equipment.sweep.record("0001-qlora", record.step).facts["qlora"]
    last = next(point for point in record.points if point.alpha == 1)
    assert fact["base"] == "builtin"
    assert pair(fact["merged"]) == equipment.objectives(last.scores)
    trainer = Trainer(VectorLearner(), recipe(), seed=equipment_seed(equipment))
    while trainer.step < trainer.total_steps:
        trainer.take_step()
    (scored,) = equipment.foundation.scorer(None).score([trainer.theta_1(in_4_bits=True)], "val")
    assert pair(fact["on_4_bits"]) == equipment.objectives(scored)  # type: ignore[arg-type]
    (remark,) = data_remarks([record], [])
    assert remark.startswith("qlora was trained on a 4-bit base. Merged into builtin in full precision, as its points")
    assert f"speciality {100 * fact['on_4_bits']['speciality']:.1f}" in remark


def pair(measures: dict[str, float]) -> tuple[float, float]:
    return measures["speciality"], measures["generality"]


def equipment_seed(equipment: Any) -> int:
    from rayforget.space.seeds import derive_seed

    return derive_seed(equipment.space.search.seed, recipe().key, "train")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"adapter": adapter().model_dump() | {"use_dora": True}}, "found nf4 with use_dora: true"),
        ({"compile": True}, "found true with adapter.base: nf4"),
    ],
)
def test_what_4_bits_cannot_be_joined_with_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate(recipe().model_dump() | changed)


def test_sharding_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"found nf4 with resources\.sharding: fsdp"):
        vector_space(
            methods={"q": {"adapter": {"kind": "lora", "rank": 2, "base": "nf4"}}},
            resources={"sharding": "fsdp", "workers_per_slot": 2},
        )


def test_a_missing_package_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rayforget.space.shipped import quickstart

    text = quickstart().read_text().replace("{kind: lora, ", "{kind: lora, base: nf4, ", 1)
    (tmp_path / "q.yaml").write_text(text)
    loaded = load_space(tmp_path / "q.yaml")
    check_foundation(loaded)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(SpaceError, match=r"q.yaml:\d+: .*adapter.base: nf4 needs .*bitsandbytes.*rayforget\[qlora\]"):
        check_foundation(loaded)
