"""A language model and a peft adapter's folder -> the model with the adapter merged, every tensor of the folder read.

peft only warns of a part of an adapter that no file holds, and says nothing of tensors that it has no place for: such a
model would answer as its base does.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.pickles import refusal

_TOLERANCE = 1e-3
"""Share of the largest logit by which merging may change an answer, in fp32."""
_SHARED = ("vblora_vector_bank", "prompt_encoder", ".tinylora_v.", ".unilora_theta_d.")
"""What peft saves once for all layers, or not at all."""


def with_adapter(lm: nn.Module, folder: Path) -> nn.Module:
    """The model with the adapter merged; `lm` is changed in place.

    Args:
        lm: the base, in fp32 and in eval mode.
        folder: what peft's `save_pretrained` wrote.

    Raises:
        FoundationError: the adapter cannot be put on the base, a part of it is in no file, the base has no place for a
            tensor of it, or the merged model answers otherwise than the adapter on its base.
    """
    adapted = _read(lm, folder)
    before = _few_logits(adapted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft asks transformers by names that are going to change
            merged: nn.Module = adapted.merge_and_unload()
    except Exception as error:
        raise FoundationError(f"peft cannot merge the adapter {folder} into its base: {str(error)[:500]}") from error
    change = float((_few_logits(merged) - before).abs().max())
    if change > _TOLERANCE * float(before.abs().max()):  # not NaN, of which the weights tell
        raise FoundationError(
            f"the adapter {folder} answers otherwise once it is merged: it adapts a layer whose weight another layer "
            "shares (an output layer that is tied to the embedding), and both would change; merge it into a base that "
            "was saved with tie_word_embeddings: false and with both weights"
        )
    return merged


def _read(lm: nn.Module, folder: Path) -> Any:
    """The base with the adapter beside its weights, every tensor of its file read and none missing."""
    from peft import PeftModel

    known: Any = lm
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is missing, which is an error below, and of tied layers
            adapted: Any = PeftModel.from_pretrained(known, str(folder), torch_device="cpu")
            if adapted.active_peft_config.is_prompt_learning:
                raise FoundationError(
                    f"{folder} is an adapter of prompts ({adapted.active_peft_config.peft_type.value}), which changes "
                    "no weights, so that there is nothing to interpolate; use a LoRA, or a model trained in full"
                )
            if getattr(adapted.active_peft_config, "layer_replication", None):
                raise FoundationError(
                    f"the adapter {folder} uses its base's layers several times, each time with another change "
                    "(layer_replication), which no merged model of the base can hold; use a LoRA of the base itself"
                )
            renamed = getattr(lm, "_checkpoint_conversion_mapping", {})
            found = adapted.load_adapter(str(folder), "default", torch_device="cpu", key_mapping=renamed)
    except FoundationError:
        raise
    except Exception as error:
        raise FoundationError(
            refusal(error, folder)
            or f"the adapter {folder} cannot be put on its base: {str(error)[:500]}; copy it again, and give the base "
            "from which it was trained"
        ) from error
    missing = [name for name in found.missing_keys if not any(part in name for part in _SHARED)]
    if missing or found.unexpected_keys:
        there = f"; the file holds {_listed(found.unexpected_keys)}, for which the base has no place"
        raise FoundationError(
            f"the adapter {folder}: "
            + (f"its file lacks {_listed(missing)}" if missing else "not all of it can be read")
            + (there if found.unexpected_keys else "")
            + ". What is not read has no effect, so it is refused: copy or save the adapter again, or give the base "
            "from which it was trained"
        )
    return adapted


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return f"{', '.join(ordered[:3])}{f' and {len(ordered) - 3} more' if len(ordered) > 3 else ''}"


@torch.no_grad()
def _few_logits(lm: Any) -> Tensor:
    logits: Tensor = lm(input_ids=torch.arange(4)[None]).logits
    return logits
