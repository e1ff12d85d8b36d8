"""Language models are trained by the same loop; the layout of a batch changes nothing but rounding."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_lm import save_lm

from rayforget.foundations.causal_lm.boundaries import Kernel
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.learner import CausalLearner
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.prepared import copy_on_cpu
from rayforget.foundations.causal_lm.rows import place, training_rows
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.tasks.text.types import TrainingSet
from rayforget.train.distillation import distillation_loss
from rayforget.train.loop import Snapshot, train
from rayforget.train.penalties.kd import Distillation
from rayforget.train.penalties.l2 import L2Penalty
from rayforget.train.teacher import ask_teacher, start_values

LORA = LoraAdapter(rank=2, targets=("q_proj", "v_proj", "fc1"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CausalLm:
    folder = save_lm(tmp_path_factory.mktemp("lm"), "opt")
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), torch.device("cpu"))


def training_set_of(num_items: int = 13, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 12, size=num_items)
    return TrainingSet(
        tokens=rng.integers(4, 500, size=lengths.sum()).astype(np.int32),
        starts=np.concatenate([[0], lengths.cumsum()]),
        first_targets=np.array([rng.integers(1, length) for length in lengths], dtype=np.int32),
        facts={"cut_sequences": 3},
        items_hash="0",
    )


def learner_of(model: CausalLm, *, packing: bool = True, kernel: Kernel | None = None) -> CausalLearner:
    lm = copy.deepcopy(model.head.lm).requires_grad_(True)
    return CausalLearner(model, CausalHead(lm).train(), training_set_of(), packing=packing, kernel=kernel)


def recipe_of(**settings: Any) -> Recipe:
    return Recipe(method="m", **{"learning_rate": 1e-2, "epochs": 2, "batch_size": 4, "seed": 0, **settings})


def trained(model: CausalLm, *, packing: bool = True, **settings: Any) -> Snapshot:
    (snapshot,) = train(learner_of(model, packing=packing), recipe_of(**settings), seed=1, fractions=(1.0,))
    return snapshot


def assert_equal(first: Snapshot, second: Snapshot, tolerance: float) -> None:
    for name, tensor in first.theta_1.items():
        torch.testing.assert_close(tensor, second.theta_1[name], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("lengths", [[1], [5, 5], [3, 1, 2, 2, 1], [9, 8, 7, 1, 1, 1], list(range(1, 30))])
def test_rows_hold_every_sequence_once_and_no_more_than_fits(lengths: list[int]) -> None:
    rows = place(lengths, max(lengths))
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in row) <= max(lengths) for row in rows)
    assert len(rows) <= 11 / 9 * np.ceil(sum(lengths) / max(lengths)) + 2


@pytest.mark.parametrize("packing", [False, True])
def test_rows_say_which_token_predicts_which(packing: bool) -> None:
    sequences = [np.array([4, 5, 6], np.int32), np.array([7, 8], np.int32), np.array([9, 10, 11, 12, 13], np.int32)]
    rows = training_rows(sequences, [1, 1, 3], packing=packing, filler=1)
    assert rows.targets.tolist() == [5, 6, 8, 12, 13]
    assert rows.tokens.ravel()[rows.sources].tolist() == [4, 5, 7, 11, 12]
    assert rows.positions.ravel()[rows.sources].tolist() == [0, 1, 0, 2, 3]
    assert rows.tokens.shape == ((2, 5) if packing else (3, 5))
    assert (rows.mask is None) == (not packing)


def test_the_loss_is_the_mean_over_answer_tokens_and_no_others(model: CausalLm) -> None:
    data = training_set_of()
    total, count = 0.0, 0
    for i, first in enumerate(data.first_targets.tolist()):
        tokens = torch.tensor(data.tokens[data.starts[i] : data.starts[i + 1]].astype(np.int64))
        with torch.no_grad():
            log_p = F.log_softmax(model.head.lm(input_ids=tokens[None]).logits[0].double(), dim=-1)
        total -= sum(log_p[t - 1, tokens[t]].item() for t in range(first, len(tokens)))
        count += len(tokens) - first
    snapshot = trained(model, batch_size=13, epochs=1)
    assert snapshot.facts["loss"] == pytest.approx(total / count, rel=1e-5)
    assert snapshot.facts["cut_sequences"] == 3


def losses(model: CausalLm, *, packing: bool = True, kernel: Kernel | None = None, **settings: Any) -> list[float]:
    """Losses of all steps. Weights do not compare: if a gradient is 0 except for rounding, Adam moves it by its
    sign."""
    fractions = tuple(step / 6 for step in range(1, 7))
    learner = learner_of(model, packing=packing, kernel=kernel)
    snapshots = train(learner, recipe_of(**settings), seed=1, fractions=fractions)
    return [snapshot.facts["loss"] for snapshot in snapshots]


def test_packing_changes_rounding_alone(model: CausalLm) -> None:
    assert losses(model, packing=True) == pytest.approx(losses(model, packing=False), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"accumulation": 2},
        {"adapter": LORA},
        {"penalties": (Distillation(kind="kd", strength=0.5),)},
        {"adapter": LORA, "penalties": (Distillation(kind="kd", strength=0.5),)},
    ],
)
def test_one_flat_row_with_boundaries_changes_rounding_alone(model: CausalLm, settings: dict[str, Any]) -> None:
    assert losses(model, kernel="plain", **settings) == pytest.approx(losses(model, **settings), rel=1e-4)


@pytest.mark.parametrize("settings", [{"accumulation": 2}, {"gradient_checkpointing": True}])
def test_memory_savers_change_rounding_alone(model: CausalLm, settings: dict[str, Any]) -> None:
    assert losses(model) == pytest.approx(losses(model, **settings), rel=1e-4)


def test_strength_0_of_kd_is_plain_fine_tuning_to_the_bit(model: CausalLm) -> None:
    assert_equal(trained(model), trained(model, penalties=(Distillation(kind="kd", strength=0.0),)), 0)


@pytest.mark.parametrize("adapter", [None, LORA])
def test_a_strong_kd_keeps_the_answers_of_theta_0(model: CausalLm, adapter: LoraAdapter | None) -> None:
    extra = {} if adapter is None else {"adapter": adapter}

    def drift(**settings: Any) -> float:
        theta_1 = trained(model, epochs=6, **extra, **settings).theta_1
        tokens = torch.arange(4, 30)[None]
        weights = model.weights(theta_1)
        inputs = {"tokens": tokens, "positions": torch.arange(26)[None]}
        with torch.no_grad():
            features = torch.func.functional_call(model.head, weights, kwargs=inputs)
            found = torch.func.functional_call(model.head, weights, kwargs={"features": features}).log_softmax(-1)
            start = model.head(features=model.head(**inputs)).log_softmax(-1)
        return float(F.kl_div(found, start, reduction="batchmean", log_target=True))

    assert drift(penalties=(Distillation(kind="kd", strength=100.0),)) < 0.5 * drift()


def test_a_very_strong_l2_gives_theta_0(model: CausalLm) -> None:
    theta_1 = trained(model, penalties=(L2Penalty(kind="l2", strength=1e12),)).theta_1
    for name, tensor in model.theta_0.items():
        torch.testing.assert_close(theta_1[name], tensor, atol=1e-6, rtol=0)


def test_theta_0_is_left_as_it_was_and_a_lora_changes_its_targets_alone(model: CausalLm) -> None:
    before = {name: tensor.clone() for name, tensor in model.theta_0.items()}
    theta_1 = trained(model, adapter=LORA).theta_1
    changed = {name for name in theta_1 if not torch.equal(theta_1[name], model.theta_0[name])}
    assert changed
    assert all(name.split(".")[-2] in LORA.targets and name.endswith("weight") for name in changed)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.theta_0.items())


def test_bf16_keeps_weights_in_fp32_and_comes_close(model: CausalLm) -> None:
    half = trained(model, precision="bf16", penalties=(Distillation(kind="kd", strength=0.5),))
    full = trained(model, penalties=(Distillation(kind="kd", strength=0.5),))
    assert {tensor.dtype for tensor in half.theta_1.values()} == {torch.float32}
    assert half.facts["loss"] == pytest.approx(full.facts["loss"], rel=0.05)


def test_kd_is_0_at_theta_0_in_bf16_too(model: CausalLm) -> None:
    learner = learner_of(model)
    weights = dict(learner.module.named_parameters())
    inputs = learner.batch(torch.arange(13), torch.Generator()).inputs
    kl = {}
    for kind in ("ours", "all bf16"):
        start = start_values(weights, learner.module, rounded=True)
        if kind == "all bf16":
            start = {name: value.bfloat16() for name, value in start.items()}
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            teacher = ask_teacher(learner.module, learner.output, weights, start, inputs, sharded=False)(slice(None))
            logits = learner.module(features=learner.module(**inputs))
            kl[kind] = abs(float(distillation_loss(logits, teacher, 1.0))) / len(logits)
    assert kl["ours"] < 1e-7
    assert kl["all bf16"] > 100 * kl["ours"]
    rounded = start_values(weights, learner.module, rounded=True)
    assert {name.split(".")[-2] for name, value in rounded.items() if value.dtype == torch.bfloat16} >= {
        "fc1",
        "q_proj",
    }


def test_a_copy_on_cpu_is_the_model_with_its_tied_tensors_and_memory_of_its_own(model: CausalLm) -> None:
    made = copy_on_cpu(model.head.lm)
    own, others = dict(model.head.lm.named_parameters()), dict(made.named_parameters())
    assert own.keys() == others.keys()
    assert len(own) < len(model.head.lm.state_dict())
    for name, weight in own.items():
        assert torch.equal(weight, others[name])
        assert weight.data_ptr() != others[name].data_ptr()
    assert type(made) is type(model.head.lm)


def test_a_resumed_training_ends_in_the_same_weights(model: CausalLm) -> None:
    states: list[Any] = []
    recipe, fractions = recipe_of(), (0.5, 1.0)
    whole = list(
        train(
            learner_of(model),
            recipe,
            seed=1,
            fractions=fractions,
            save=lambda state: states.append(copy.deepcopy(state)),
        )
    )
    resumed = list(train(learner_of(model), recipe, seed=1, fractions=fractions, resume=states[0]))
    assert_equal(whole[-1], resumed[-1], 0)
