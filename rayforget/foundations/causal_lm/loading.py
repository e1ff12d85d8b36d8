"""The files of a language model -> transformers' model with every weight read from them, and its tokenizer."""

import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.merged_adapter import with_adapter
from rayforget.foundations.causal_lm.source import CausalSource, adapter_beside
from rayforget.foundations.pickles import pickled_tensors, refusal
from rayforget.foundations.randomness import zero_rates

logger = logging.getLogger(__name__)

_INNER = r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)"
_WRAPPERS = (
    rf"^(?:(?:module|base_model\.model|{_INNER})\.)+",
    r"(?<=^model\.)module\.",
    r"(?<=^transformer\.)module\.",
    *(rf"(?<=\.)(?:{_INNER}\.){times}" for times in ("+", "{1,8}", "{1,9}")),
)
"""What torch.compile, DDP, peft, FSDP and DeepSpeed put before the names of what they wrap, the whole model or its
parts; transformers takes each pattern away once from a name."""
_IS_ADAPTER = re.compile(r"\.lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)\b")
_ATTENTION = ("sdpa", "eager")
"""In the order of preference; not every architecture has torch's fused attention."""


def load_model(source: CausalSource) -> tuple[nn.Module, Any]:
    """The model in fp32 and eval mode, merged with the adapter if there is one, and its tokenizer.

    Raises:
        FoundationError: transformers cannot load it, a weight is not in the files, or they would run code.
    """
    from transformers import AutoConfig, AutoTokenizer

    os.environ.setdefault(
        "DISABLE_SAFETENSORS_CONVERSION", "1"
    )  # else the hub is asked to convert other people's models
    common = _common(source)
    try:
        config = AutoConfig.from_pretrained(source.name, **common)
        zero_rates(config)
        own = {**common, "local_files_only": True} if source.tokenizer != source.name else common
        tokenizer = AutoTokenizer.from_pretrained(source.tokenizer, **own)
        lm = _load_weights(source, config, common)
        if source.adapter is not None:
            lm = with_adapter(lm, Path(source.adapter))
            logger.warning(
                "%s is an adapter: theta_0 is its base %s with the adapter merged", source.adapter, source.name
            )
    except FoundationError:
        raise
    except Exception as error:
        raise FoundationError(_told(source, error)) from error
    return lm, tokenizer


def original_config(source: CausalSource) -> Any:
    """The model's configuration as its files have it, with the dropout that `load_model` takes out."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(source.name, **_common(source))


def _common(source: CausalSource) -> dict[str, Any]:
    common: dict[str, Any] = {"trust_remote_code": source.trust_remote_code, "local_files_only": source.is_folder}
    if source.revision is not None:
        common["revision"] = source.revision
    return common


def _load_weights(source: CausalSource, config: Any, common: Mapping[str, Any]) -> nn.Module:
    """Loads a second time if all that was missing is there under names with a wrapper's prefix."""
    lm, found = _attempt(source, config, common)
    if getattr(lm, "_hf_peft_config_loaded", False):  # of a hub model; a folder's is found before
        raise FoundationError(adapter_beside(source.name))
    missing, unexpected = set(found["missing_keys"]), set(found["unexpected_keys"])
    wrapped = {name: wrappers for name in unexpected if (wrappers := _wrappers(name))}
    if missing and wrapped:
        logger.warning(
            "%s: the names of %d of its tensors have %s, which is what a wrapper adds; read without it",
            source.name,
            len(wrapped),
            " or ".join(sorted(set(wrapped.values()))[:5]),
        )
        del lm
        lm, found = _attempt(source, config, common, key_mapping=dict.fromkeys(_WRAPPERS, ""))
        _forget_wrappers(lm)
        missing, unexpected = set(found["missing_keys"]), set(found["unexpected_keys"])
    if adapters := {name for name in unexpected if _IS_ADAPTER.search(name)}:
        raise FoundationError(
            f"{source.name}: beside the model's weights the files hold a LoRA adapter that is not merged into them "
            f"({_listed(adapters)}); without it the model would answer as it did before: save it after "
            "merge_and_unload(), or the adapter alone with save_pretrained"
        )
    if missing:
        raise FoundationError(_incomplete(source, missing, unexpected))
    if unexpected:
        logger.warning("%s: the model has no place for %s; they are not read", source.name, _listed(unexpected))
    return lm


def _wrappers(name: str) -> str:
    """All that wrappers have added to a tensor's name."""
    return "".join(found for pattern in _WRAPPERS[:4] for found in re.findall(pattern, name))


def _forget_wrappers(lm: Any) -> None:
    """Lets the model be saved under its own names: transformers would turn the patterns round, and write them."""
    kept = [one for one in lm._weight_conversions if not set(one.source_patterns) & set(_WRAPPERS)]
    lm._weight_conversions = kept


def _attempt(
    source: CausalSource, config: Any, common: Mapping[str, Any], **options: Any
) -> tuple[nn.Module, dict[str, Any]]:
    from transformers import AutoModelForCausalLM

    if source.state_file is None and source.is_folder:
        options |= {"use_safetensors": not source.pickled}
    for attention in _ATTENTION:
        given = {
            "config": config,
            "dtype": torch.float32,
            "attn_implementation": attention,
            "output_loading_info": True,
        }
        try:
            if source.state_file is None:
                known: Any = AutoModelForCausalLM
                lm, found = known.from_pretrained(source.name, **given, **common, **options)
                return lm, found
            with torch.device("meta"):
                built: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=source.trust_remote_code)
            given |= {"config": built.config, "state_dict": pickled_tensors(source.state_file)}
            lm, found = built.__class__.from_pretrained(None, **given, **options)
            return lm, found
        except ValueError as error:
            if attention == _ATTENTION[-1] or "scaled_dot_product_attention" not in str(error):
                raise
            logger.info("%s has no fused attention: %s is used", type(config).__name__, _ATTENTION[-1])
    raise AssertionError


def _incomplete(source: CausalSource, missing: Collection[str], unexpected: Collection[str]) -> str:
    there = f"; the files hold {_listed(unexpected)}, for which the model has no place" if unexpected else ""
    tied = (
        "; if the output layer shares the embedding's weights, write tie_word_embeddings: true in config.json"
        if any("lm_head" in name or "embed_out" in name for name in missing)
        else ""
    )
    return (
        f"{source.name}: the files lack {_listed(missing)} of the model that config.json describes{there}. Such "
        "weights would be random, so it is refused: copy or save the model again, or use the config.json that belongs "
        f"to it{tied}"
    )


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - 5} more tensors" if len(ordered) > 5 else ""
    return f"{', '.join(ordered[:5])}{more}"


def _told(source: CausalSource, error: Exception) -> str:
    refused = refusal(error, source.name)
    if refused is not None:
        return refused
    text = str(error).partition("\nModel type should be one of")[0].rstrip(".")  # two hundred names follow
    return f"transformers cannot load {source.name}: {text[:500]}; {_advice(source, error)}"


def _advice(source: CausalSource, error: Exception) -> str:
    text = str(error)
    if "trust_remote_code" in text:
        return "the model brings code of its own: read it, then set foundation.trust_remote_code: true"
    if "Unrecognized configuration class" in text:
        return "transformers has no causal language model of this architecture"
    if source.adapter is not None:
        return f"it is the base that the adapter {source.adapter} names in adapter_config.json; put the base there"
    if source.is_folder:
        return "config.json, tokenizer.json and the weights of the folder must belong together"
    return "check the name on huggingface.co and the network, or download it and give its folder"
