"""Language models as a command line names them: folders, and adapters that are merged into the base at hand."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_lm import save_lm
from torch import Tensor
from transformers import AutoModelForCausalLM

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.kind import CausalLmKind
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.causal_lm.source import causal_source

KIND = CausalLmKind()
BUILTIN = CausalLmFoundation(kind="causal_lm", model="builtin", sequences={"length": 48})


@pytest.fixture
def base(tmp_path: Path) -> CausalLmFoundation:
    return KIND.named(str(save_lm(tmp_path / "base", "llama")), BUILTIN)


def save_adapter(folder: Path, base: Path, *, names: str) -> dict[str, Tensor]:
    """Writes a LoRA of the base that says that it belongs to `names`; gives the merged tensors by peft alone."""
    torch.manual_seed(0)
    lm: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lora: Any = get_peft_model(lm, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    lora.peft_config["default"].base_model_name_or_path = names
    lora.save_pretrained(folder)
    merged: dict[str, Tensor] = lora.merge_and_unload().state_dict()
    return merged


def test_a_folder_keeps_the_lengths_of_the_space(base: CausalLmFoundation, tmp_path: Path) -> None:
    assert base.model == str(tmp_path / "base")
    assert base.sequences == BUILTIN.sequences
    assert KIND.tuned("OWNER/NAME", base).model == "OWNER/NAME"


def test_an_adapter_is_merged_into_the_base_whatever_base_it_names(base: CausalLmFoundation, tmp_path: Path) -> None:
    expected = save_adapter(tmp_path / "adapter", tmp_path / "base", names="someone/elsewhere")
    tuned = KIND.tuned(str(tmp_path / "adapter"), base)
    assert (tuned.model, tuned.adapter) == (base.model, str(tmp_path / "adapter"))
    assert [*KIND.local_places(tuned)] == [("model", base.model), ("adapter", str(tmp_path / "adapter"))]
    start = load_causal_lm(base, torch.device("cpu")).theta_0
    found = KIND.weights(tuned, start)
    changed = {name for name in found if not torch.equal(found[name], start[name])}
    assert changed == {f"model.layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1)}
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_an_adapter_of_an_adapter_and_a_folder_without_one_are_refused(
    base: CausalLmFoundation, tmp_path: Path
) -> None:
    save_adapter(tmp_path / "adapter", tmp_path / "base", names=str(tmp_path / "base"))
    first = KIND.named(str(tmp_path / "adapter"), BUILTIN)
    with pytest.raises(FoundationError, match=r"is a peft adapter itself, .* merge the first into its base"):
        causal_source(KIND.tuned(str(tmp_path / "adapter"), first))
    with pytest.raises(FoundationError, match=r"foundation.adapter: found .*, which is no peft adapter's folder"):
        causal_source(base.model_copy(update={"adapter": str(tmp_path)}))


def test_configurations_that_differ_are_told_and_what_says_nothing_of_answers_is_not(
    base: CausalLmFoundation, tmp_path: Path
) -> None:
    other = save_lm(tmp_path / "other", "llama")
    file = other / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"rms_norm_eps": 0.5, "transformers_version": "9", "use_cache": False}))
    assert KIND.unlike(KIND.named(str(other), base), base) == (
        f"rms_norm_eps: 0.5 where the base has {config['rms_norm_eps']!r}",
    )
    assert KIND.unlike(base, base) == ()
