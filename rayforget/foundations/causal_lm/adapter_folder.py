"""A low-rank change of a language model's weights -> a folder that peft loads onto the foundation."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rayforget.errors import FoundationError
from rayforget.foundations.exporter import LowRankChange

_NAME = "default"


@torch.no_grad()
def write_adapter(lm: nn.Module, change: LowRankChange, folder: Path, *, base: str, revision: str | None) -> None:
    """Writes the change as peft's own code writes a trained adapter.

    transformers' Conv1D (GPT-2) keeps its weight as (in, out), so that its factors change places.

    Args:
        lm: the foundation's model; it is copied.
        change: its names are those of the model's parameters; `factors` are of linear layers.
        folder: gets adapter_config.json and adapter_model.safetensors.
        base: the foundation's folder or hub name, which the adapter names.
        revision: its commit on the hub.

    Raises:
        FoundationError: a tied embedding changed, which no linear layer of its own holds.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer
    from peft.utils import ModulesToSaveWrapper

    targets = [name.rpartition(".")[0] for name in change.factors]
    if odd := [target for target in targets if isinstance(lm.get_submodule(target), nn.Embedding)]:
        raise FoundationError(
            f"--adapter: {odd[0]} shares its weight with a layer that modules_to_save trains in full, and peft splits "
            "tied tensors, so that the adapter would be another model; leave --adapter out"
        )
    saved = sorted({name.rpartition(".")[0] for name in change.whole})
    settings = LoraConfig(
        r=change.rank,
        lora_alpha=change.scale * change.rank,  # type: ignore[arg-type]  # peft divides it by the rank again
        target_modules=targets,
        modules_to_save=saved or None,
        bias="none",
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        revision=revision,
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers by names that are going to change
        adapted: Any = get_peft_model(copy.deepcopy(lm), settings)
    for name, module in adapted.get_base_model().named_modules():
        known: Any = module
        if isinstance(module, LoraLayer):
            left, right = change.factors[f"{name}.weight"]
            if getattr(module, "fan_in_fan_out", False):
                left, right = right.T, left.T
            known.lora_A[_NAME].weight.copy_(right)
            known.lora_B[_NAME].weight.copy_(left)
        elif isinstance(module, ModulesToSaveWrapper):
            for part, weight in known.modules_to_save[_NAME].named_parameters():
                if f"{name}.{part}" in change.whole:
                    weight.copy_(change.whole[f"{name}.{part}"])
    adapted.peft_config[_NAME].base_model_name_or_path = base
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        adapted.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty card
