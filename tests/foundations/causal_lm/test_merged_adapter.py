"""A peft adapter's folder is its base with the whole adapter merged, or is refused with what would have no effect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_lm import save_lm

from rayforget.errors import FoundationError
from rayforget.export.low_rank import low_rank_change
from rayforget.foundations.causal_lm.adapter_folder import write_adapter
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.exporter import CausalExporter
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.prepared import with_tasks
from rayforget.space.recipe import LoraAdapter
from rayforget.space.tasks.text import Sequences

CPU = torch.device("cpu")
TOKENS = torch.arange(4, 12)[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_lm(tmp_path / "model", "llama")


def _spec(folder: Path) -> CausalLmFoundation:
    return CausalLmFoundation(kind="causal_lm", model=str(folder))


def _load(folder: Path) -> CausalLm:
    return load_causal_lm(_spec(folder), CPU)


def _adapter(base: Path, folder: Path, **settings: Any) -> Any:
    """Writes an adapter that changes answers; returns the model with it, not merged."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    settings = {"target_modules": ["q_proj", "v_proj"], "r": 2, "init_lora_weights": False} | settings
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "modules_to_save" in name:
                weight.add_(0.1)
    adapted.save_pretrained(folder)
    return adapted.eval()


def test_an_adapter_s_folder_is_its_base_with_the_adapter_merged(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(folder)
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    model = _load(tmp_path / "adapter")
    assert model.theta_0_hash != _load(folder).theta_0_hash
    for name, tensor in merged.named_parameters():
        torch.testing.assert_close(model.theta_0[name], tensor.detach())
    (folder / "config.json").unlink()
    with pytest.raises(FoundationError, match=r"model has no config.json"):
        _load(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("renamed", "told"),
    [
        (lambda name: f"_orig_mod.{name}", "the file holds _orig_mod.base_model"),
        (lambda name: name.replace("model.layers", "model.language_model.layers"), "the base has no place"),
        (lambda name: name if "layers.0" in name else None, r"lacks base_model.model.model.layers.1.\S+lora_A"),
        (lambda name: name if "lora_A" in name else None, r"lacks base_model.model.model.layers.0.\S+lora_B"),
    ],
)
def test_a_part_of_an_adapter_that_would_have_no_effect_is_refused(
    folder: Path, tmp_path: Path, renamed: Callable[[str], str | None], told: str
) -> None:
    _adapter(folder, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({new: tensor for name, tensor in load_file(file).items() if (new := renamed(name))}, file)
    with pytest.raises(FoundationError, match=f"(?s){told}.*has no effect"):
        _load(tmp_path / "adapter")


@pytest.mark.parametrize("gone", [(), ("adapter_model.safetensors",)])
def test_an_adapter_beside_a_whole_model_is_neither_added_nor_passed_over(
    folder: Path, tmp_path: Path, gone: tuple[str, ...]
) -> None:
    """transformers adds it to the model, unmerged: theta_0 would have other tensors, and answer otherwise."""
    before = _load(folder).theta_0_hash
    _adapter(folder, tmp_path / "adapter")
    for path in (tmp_path / "adapter").glob("adapter_*"):
        if path.name not in gone:
            path.rename(folder / path.name)
    with pytest.raises(FoundationError, match=r"holds a whole model and a peft adapter .*foundation\.adapter$"):
        _load(folder)
    (folder / "adapter_config.json").unlink()
    assert _load(folder).theta_0_hash == before


def test_an_adapter_of_one_of_two_tied_layers_is_refused(tmp_path: Path) -> None:
    base = save_lm(tmp_path / "model", "qwen2")
    _adapter(base, tmp_path / "adapter", target_modules=["lm_head"])
    with pytest.raises(FoundationError, match="answers otherwise once it is merged: it adapts a layer whose weight"):
        _load(tmp_path / "adapter")


@pytest.mark.parametrize("saved", ["lm_head", "embed_tokens"])
def test_a_layer_that_an_adapter_unties_is_exported_untied(tmp_path: Path, saved: str) -> None:
    base = save_lm(tmp_path / "model", "qwen2")
    adapted = _adapter(base, tmp_path / "adapter", modules_to_save=[saved])
    model = _load(tmp_path / "adapter")
    with torch.no_grad():
        expected = adapted(input_ids=TOKENS).logits
        torch.testing.assert_close(model.head.lm(input_ids=TOKENS).logits, expected, rtol=1e-4, atol=1e-4)
    foundation = with_tasks(model, Sequences(), {}, cache=tmp_path, batch_tokens=64)
    CausalExporter(foundation, _spec(tmp_path / "adapter")).save(model.theta_0, tmp_path / "out", torch.float32)
    assert json.loads((base / "config.json").read_text())["tie_word_embeddings"] is True
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False
    assert _load(tmp_path / "out").theta_0_hash == model.theta_0_hash


def test_what_is_wrong_with_an_adapter_is_not_blamed_on_its_base(folder: Path, tmp_path: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(tmp_path / "prompt")
    with pytest.raises(FoundationError, match=r"adapter of prompts .*changes no weights"):
        _load(tmp_path / "prompt")
    _adapter(folder, tmp_path / "cut")
    file = tmp_path / "cut" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(FoundationError, match=r"adapter .*cut cannot be put on its base"):
        _load(tmp_path / "cut")


def test_an_adapter_that_repeats_its_base_s_layers_is_refused_as_that(folder: Path, tmp_path: Path) -> None:
    _adapter(folder, tmp_path / "adapter", layer_replication=[[0, 2], [0, 2]])
    with pytest.raises(FoundationError, match=r"uses its base's layers several times, .*\(layer_replication\)"):
        _load(tmp_path / "adapter")


def test_a_tied_output_layer_that_was_trained_in_full_is_no_adapter_s(tmp_path: Path) -> None:
    model = _load(save_lm(tmp_path / "tied", "qwen2"))
    theta = {name: tensor + 0.1 * ("embed_tokens" in name) for name, tensor in model.theta_0.items()}
    change = low_rank_change(model.theta_0, theta, LoraAdapter(rank=2, modules_to_save=("lm_head",)), 1.0)
    with pytest.raises(FoundationError, match=r"--adapter: model.embed_tokens shares its weight .*leave --adapter out"):
        write_adapter(model.head.lm, change, tmp_path / "adapter", base="", revision=None)
