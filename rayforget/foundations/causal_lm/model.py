"""A space's causal language model -> the loaded model: theta_0, its tokenizer, and its module."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.apart import keeps_apart
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.source import CONVERSION, CausalSource, causal_source
from rayforget.foundations.protocol import State
from rayforget.foundations.sharing import Share, keep_own, point_at
from rayforget.interpolate.hashing import state_hash

PREFIX = "lm."
"""The prefix that `CausalHead` adds to the model's own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalLm:
    """A model of transformers in fp32 and eval mode; read-only, as theta_0 is, with which it shares memory on a CPU."""

    head: CausalHead
    """On the device."""
    tokenizer: Any
    """transformers' PreTrainedTokenizerBase."""
    theta_0: State
    """On the CPU, under the model's own names; tied tensors once, under their first name."""
    theta_0_hash: str
    device: torch.device
    max_length: int
    """Longest input of scoring in tokens; longer ones are cut as lm-eval cuts them."""
    train_length: int
    """Longest training sequence in tokens."""
    pad_token: int
    """Pads rows; no token ever sees it."""
    eos_token: int
    """Ends every answer that is trained on."""
    prefix_token: int
    """Stands before a continuation without context."""
    config: Mapping[str, Any]
    """The contents of config.json in an exported folder."""
    keeps_apart: bool
    """Whether sequences side by side in a row answer as they do alone; if not, nothing is packed or shared."""

    def weights(self, theta: State) -> dict[str, Tensor]:
        """The tensors of `theta` on the device, as `torch.func.functional_call(self.head, ...)` takes them.

        Raises:
            FoundationError: the model has no tensor of that name.
        """
        if unknown := sorted(theta.keys() - self.theta_0.keys()):
            raise FoundationError(f"no such tensors in the model: {', '.join(unknown[:5])}; pass its own names")
        return {f"{PREFIX}{name}": tensor.to(self.device) for name, tensor in theta.items()}


def load_causal_lm(spec: CausalLmFoundation, device: torch.device, share: Share = keep_own) -> CausalLm:
    """Loads a model and its tokenizer through transformers, in fp32 whatever the file's type.

    All dropout is off, so that a training is the same wherever and however often it is run.

    Args:
        spec: the space's foundation.
        device: where the model lives; theta_0 stays on the CPU.
        share: decides in which memory theta_0 lies.

    Raises:
        FoundationError: there is no such model, its weights would run code, a file is missing, or its head is more than
            a layer over the last hidden state.
    """
    source = causal_source(spec)
    lm, tokenizer = _load(source)
    lm.eval()
    loaded = _state_of(lm)
    theta_0_hash = state_hash(loaded)
    theta_0 = share(theta_0_hash, loaded)
    if device.type == "cpu":
        point_at(lm, theta_0)
    train_length, max_length = (
        _length(lm.config, name, getattr(spec.sequences, name)) for name in ("length", "scored_length")
    )
    eos, pad, prefix = _special_tokens(tokenizer, lm.config)
    embedded = int(lm.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    if (largest := max([len(tokenizer) - 1, eos, pad, prefix])) >= embedded:
        raise FoundationError(
            f"{source.name}: the tokenizer has token {largest}, the model embeds {embedded}; "
            "model and tokenizer must belong together"
        )
    head = CausalHead(lm)
    _check_head(head, source.name)
    config = json.loads(lm.config.to_json_string())  # type: ignore[operator, union-attr]
    apart = keeps_apart(head, config, longest=max(train_length, max_length))
    head.to(device)
    return CausalLm(
        head=head,
        tokenizer=tokenizer,
        theta_0=theta_0,
        theta_0_hash=theta_0_hash,
        device=device,
        max_length=max_length,
        train_length=train_length,
        pad_token=pad,
        eos_token=eos,
        prefix_token=prefix,
        config=config,
        keeps_apart=apart,
    )


def _load(source: CausalSource) -> tuple[nn.Module, Any]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    common: dict[str, Any] = {"trust_remote_code": source.trust_remote_code, "local_files_only": source.is_folder}
    if source.revision is not None:
        common["revision"] = source.revision
    try:
        config = AutoConfig.from_pretrained(source.name, **common)
        for name in _dropouts(config):
            setattr(config, name, 0.0)
        tokenizer = AutoTokenizer.from_pretrained(source.name, **common)
        lm: nn.Module = AutoModelForCausalLM.from_pretrained(
            source.name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation="sdpa",
            **common,
        )
    except Exception as error:
        raise FoundationError(
            f"transformers cannot load {source.name}: {str(error)[:500]}; {_advice(source, error)}"
        ) from error
    return lm, tokenizer


def _dropouts(config: Any) -> Iterator[str]:
    for name, value in config.to_dict().items():
        if isinstance(value, float) and ("dropout" in name or "pdrop" in name or name == "layerdrop"):
            yield name


def _advice(source: CausalSource, error: Exception) -> str:
    text = str(error)
    if "safetensors" in text:
        conversion = CONVERSION.format(name=source.name)
        return f"only safetensors are loaded, since a pickle runs whatever code it brings: {conversion}"
    if "trust_remote_code" in text:
        return "the model brings code of its own: read it, then set foundation.trust_remote_code: true"
    if source.is_folder:
        return "config.json, tokenizer.json and the weights of the folder must belong together"
    return "check the name on huggingface.co and the network, or download it and give its folder"


def _state_of(lm: nn.Module) -> dict[str, Tensor]:
    """Deduplicated parameters and persistent floating-point buffers, in fp32 on the CPU."""
    persistent = lm.state_dict().keys()
    tensors: dict[str, Tensor] = dict(lm.named_parameters())
    tensors |= {name: b for name, b in lm.named_buffers() if name in persistent and b.is_floating_point()}
    return {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in tensors.items()}


def _length(config: Any, name: str, asked: int | None) -> int:
    names = ("n_positions", "max_position_embeddings", "n_ctx")
    positions = next((value for name in names if isinstance(value := getattr(config, name, None), int)), None)
    if asked is None:
        return positions or 2048
    if positions is not None and asked > positions:
        raise FoundationError(
            f"foundation.sequences.{name} is {asked}, the model has {positions} positions; write {positions} or less"
        )
    return asked


def _special_tokens(tokenizer: Any, config: Any) -> tuple[int, int, int]:
    """(eos, pad, prefix): the tokenizer's own, else the configuration's, where Galactica has them."""

    def first(*names: str) -> int | None:
        for owner in (tokenizer, config):
            for name in names:
                value = getattr(owner, name, None)
                value = value[0] if isinstance(value, list) else value
                if isinstance(value, int):
                    return value
        return None

    eos = first("eos_token_id")
    if eos is None:
        raise FoundationError("neither tokenizer nor config.json names an end token; add eos_token_id to config.json")
    pad, prefix = first("pad_token_id"), first("bos_token_id", "eos_token_id")
    return eos, eos if pad is None else pad, eos if prefix is None else prefix


@torch.no_grad()
def _check_head(head: CausalHead, name: str) -> None:
    """Checks that logits made in two steps are the model's own."""
    tokens = torch.arange(4)[None]
    own: Tensor = head.lm(input_ids=tokens).logits[0]
    made: Tensor = head(features=head(tokens=tokens, positions=tokens))
    if own.shape != made.shape or not torch.allclose(own, made, atol=1e-4, rtol=1e-4):
        raise FoundationError(
            f"{name} ({type(head.lm).__name__}) does more to its last hidden state than one linear layer; such models "
            "are not supported: use another foundation"
        )
