"""An exported language model is the scored one for transformers and peft, with all of the foundation's own files."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import KINDS, folder_of

from rayforget.errors import FoundationError
from rayforget.export.low_rank import factorise, low_rank_change
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.exporter import CausalExporter
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.causal_lm.prepared import with_tasks
from rayforget.interpolate.hashing import state_hash
from rayforget.space.recipe import LoraAdapter
from rayforget.space.tasks.text import Sequences

CPU = torch.device("cpu")
TOKENS = torch.arange(4, 20)[None]


def exporter_of(folder: Path, cache: Path) -> tuple[CausalExporter, Any]:
    spec = CausalLmFoundation(kind="causal_lm", model=str(folder))
    foundation = with_tasks(load_causal_lm(spec, CPU), Sequences(), {}, cache=cache, batch_tokens=64)
    return CausalExporter(foundation, spec), foundation


def moved(theta_0: Any, seed: int = 1) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(seed)
    return {name: x + 0.1 * torch.randn(x.shape, generator=noise) for name, x in theta_0.items()}


@pytest.mark.parametrize("kind", [*KINDS[:3], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[3:])])
def test_transformers_loads_the_scored_weights_and_the_foundations_own_files(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    own = folder_of(kind, tmp_path / "own")
    exporter, foundation = exporter_of(own, tmp_path)
    theta = moved(foundation.theta_0)
    out = tmp_path / "out"
    out.mkdir()
    spec = exporter.save(theta, out, torch.float32)
    assert load_causal_lm(spec, CPU).theta_0_hash == state_hash(theta)

    with torch.no_grad():
        loaded: Any = AutoModelForCausalLM.from_pretrained(out).eval()
        expected = torch.func.functional_call(foundation.model.head.lm, theta, (TOKENS,)).logits
        torch.testing.assert_close(loaded(TOKENS).logits, expected, rtol=1e-5, atol=1e-5)
        in_memory = exporter.model(theta)
        torch.testing.assert_close(in_memory.model(TOKENS).logits, loaded(TOKENS).logits, rtol=1e-5, atol=1e-5)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (out / name).read_bytes() == (own / name).read_bytes(), name
    assert AutoTokenizer.from_pretrained(out)("the doctor").input_ids == in_memory.tokenizer("the doctor").input_ids
    types = {"dtype", "torch_dtype"}
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (own, out))
    assert {key: after[key] for key in after.keys() - types} == {key: before[key] for key in before.keys() - types}
    assert {after[key] for key in after.keys() & types} == {"float32"}
    tied = [name for name, _ in loaded.named_parameters(remove_duplicate=False)]
    assert len(tied) - len(dict(loaded.named_parameters())) == (kind != "llama")  # the output layer is the embedding


def test_the_model_in_memory_shares_nothing_with_the_foundation(tmp_path: Path) -> None:
    exporter, foundation = exporter_of(folder_of("qwen2", tmp_path / "own"), tmp_path)
    before = foundation.theta_0_hash
    model = exporter.model(foundation.theta_0).model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert state_hash(foundation.theta_0) == before


def test_in_a_narrow_type_the_file_says_so(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    exporter, foundation = exporter_of(folder_of("galactica", tmp_path / "own"), tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    exporter.save(foundation.theta_0, out, torch.bfloat16)
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    assert foundation.model.head.lm.config.dtype == torch.float32


def test_a_large_model_is_cut_into_files_with_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayforget.foundations.causal_lm.exporter.SHARD", "40KB")
    exporter, foundation = exporter_of(folder_of("qwen2", tmp_path / "own"), tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    theta = moved(foundation.theta_0)
    spec = exporter.save(theta, out, torch.float32)
    index = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 1
    assert load_causal_lm(spec, CPU).theta_0_hash == state_hash(theta)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_adapter_is_the_point_to_rounding(kind: str, tmp_path: Path) -> None:
    """gpt2's layers keep their weights transposed."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    own = folder_of(kind, tmp_path / "own")
    exporter, foundation = exporter_of(own, tmp_path)
    adapter = LoraAdapter(rank=3, scale=1.5, modules_to_save=("norm", "ln_f"))
    noise = torch.Generator().manual_seed(2)
    theta = dict(foundation.theta_0)
    for name, tensor in theta.items():
        if "mlp" in name and name.endswith(".weight"):
            left, right = (torch.randn(*shape, generator=noise) for shape in ((len(tensor), 3), (3, tensor.shape[1])))
            theta[name] = tensor + 0.01 * left @ right
        if ".norm." in name or ".ln_f." in name:
            theta[name] = tensor + 0.5
    change = low_rank_change(foundation.theta_0, theta, adapter, 0.5)
    assert change.scale == 0.75
    exporter.save_adapter(change, tmp_path / "adapter")

    base: Any = AutoModelForCausalLM.from_pretrained(own)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(own)
    assert settings["lora_alpha"] / settings["r"] == 0.75
    merged: Any = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    found = dict(merged.named_parameters())
    changed = [name for name in theta if not torch.equal(theta[name], foundation.theta_0[name])]
    assert len(changed) > 4
    for name in theta:
        torch.testing.assert_close(found[name].detach(), theta[name], rtol=0, atol=2e-6)


def test_factors_are_the_nearest_of_their_rank() -> None:
    for shape, rank in (((7, 5), 2), ((30, 41), 4), ((3, 9), 8), ((1, 1), 1)):
        change = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))
        left, right = factorise(change, rank, 0.5)
        assert (left.shape, right.shape) == ((shape[0], rank), (rank, shape[1]))
        u, s, v = torch.linalg.svd(change, full_matrices=False)
        nearest = (u[:, :rank] * s[:rank]) @ v[:rank]
        torch.testing.assert_close(0.5 * left.double() @ right.double(), nearest, rtol=0, atol=1e-6)


def test_factors_of_a_large_matrix_are_exact_if_it_has_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayforget.export.low_rank._SMALL", 8)
    generator = torch.Generator().manual_seed(0)
    change = torch.randn(60, 3, dtype=torch.float64, generator=generator) @ torch.randn(
        3, 45, dtype=torch.float64, generator=generator
    )
    left, right = factorise(change, 3, 2.0)
    torch.testing.assert_close(2.0 * left.double() @ right.double(), change, rtol=0, atol=1e-5)


def test_an_adapter_that_would_not_be_the_point_is_refused(tmp_path: Path) -> None:
    start = {"a.weight": torch.zeros(3, 3), "a.bias": torch.zeros(3)}
    adapter = LoraAdapter(rank=2)
    with pytest.raises(FoundationError, match="nothing to adapt"):
        low_rank_change(start, start, adapter, 0.5)
    with pytest.raises(FoundationError, match=r"a\.bias changed and is no linear layer's weight"):
        low_rank_change(start, {**start, "a.bias": torch.ones(3)}, adapter, 0.5)


def test_a_foundation_with_an_adapter_is_exported_merged_and_called_by_both_names(tmp_path: Path) -> None:
    own = folder_of("llama", tmp_path / "own")
    exporter, foundation = exporter_of(own, tmp_path)
    name = next(name for name in foundation.theta_0 if "mlp" in name)
    moved_layer = {**foundation.theta_0, name: foundation.theta_0[name] + 0.1}
    change = low_rank_change(foundation.theta_0, moved_layer, LoraAdapter(rank=2), 1.0)
    spec = CausalLmFoundation(kind="causal_lm", model=str(own), adapter=str(tmp_path / "style"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # what peft asks of transformers is nothing for a user
        exporter.save_adapter(change, tmp_path / "style")
        merged = with_tasks(load_causal_lm(spec, CPU), Sequences(), {}, cache=tmp_path, batch_tokens=64)
    again = CausalExporter(merged, spec)
    (tmp_path / "out").mkdir()
    written = again.save(merged.theta_0, tmp_path / "out", torch.float32)
    assert load_causal_lm(written, CPU).theta_0_hash == merged.theta_0_hash != foundation.theta_0_hash
    assert again.words.base == "style (an adapter of own)"
