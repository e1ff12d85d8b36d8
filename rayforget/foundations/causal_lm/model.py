"""A space's causal language model -> the loaded model: theta_0, its tokenizer, and its module."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.apart import keeps_apart
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.loading import load_model
from rayforget.foundations.causal_lm.own_head import own_layers
from rayforget.foundations.causal_lm.rotary import rotary_switch
from rayforget.foundations.causal_lm.source import causal_source
from rayforget.foundations.finite import refuse_non_finite
from rayforget.foundations.protocol import State
from rayforget.foundations.randomness import still
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
    switch: int | None = None
    """Longest sequence, in tokens, with the original rotary positions; only sequences on one side share a batch."""
    keeps_apart: bool
    """Whether sequences side by side in a row answer as they do alone; if not, nothing is packed or shared."""

    @property
    def num_embedded(self) -> int:
        """Tokens that the model embeds; a tokenizer may know more, and a text that uses them cannot be read."""
        return int(self.head.lm.get_input_embeddings().num_embeddings)  # type: ignore[operator]

    def hashed_with(self, items_hash: str) -> str:
        """Hash of what decides losses on items besides weights: the items, and the model's config.json."""
        parts = [dict(self.config), items_hash]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]

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
    lm, tokenizer = load_model(source)
    lm.eval()
    loaded = _state_of(lm)
    refuse_non_finite(loaded, source.adapter or source.name)
    theta_0_hash = state_hash(loaded)
    theta_0 = share(theta_0_hash, loaded)
    if device.type == "cpu":
        point_at(lm, theta_0)
    text = lm.config.get_text_config(decoder=True)  # type: ignore[operator, union-attr]  # one within, if it sees images too
    train_length, max_length = (
        _length(text, name, getattr(spec.sequences, name)) for name in ("length", "scored_length")
    )
    embedded = int(lm.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    eos, pad, prefix = _special_tokens(tokenizer, text, embedded)
    head = _head_of(lm, source.name)
    still(lm, lambda: _few_features(head))
    config = json.loads(lm.config.to_json_string())  # type: ignore[operator, union-attr]
    longest = max(train_length, max_length)
    switch = rotary_switch(config, longest=longest, name=source.name)
    apart = keeps_apart(head, config, longest=longest)
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
        switch=switch,
    )


def _state_of(lm: nn.Module) -> dict[str, Tensor]:
    """Deduplicated parameters and persistent floating-point buffers, in fp32 on the CPU."""
    persistent = lm.state_dict().keys()
    tensors: dict[str, Tensor] = dict(lm.named_parameters())
    tensors |= {name: b for name, b in lm.named_buffers() if name in persistent and b.is_floating_point()}
    return {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in tensors.items()}


def _length(config: Any, name: str, asked: int | None) -> int:
    names = ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len")
    positions = next((getattr(config, name) for name in names if _is_count(getattr(config, name, None))), None)
    if asked is None:
        return positions or 2048
    if positions is not None and asked > positions:
        raise FoundationError(
            f"foundation.sequences.{name} is {asked}, the model has {positions} positions; write {positions} or less"
        )
    return asked


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value > 0  # XLNet has -1 for any number


def _special_tokens(tokenizer: Any, config: Any, embedded: int) -> tuple[int, int, int]:
    """(eos, pad, prefix): the tokenizer's own, else the configuration's, where Galactica has them.

    A number that the model does not embed (-1 among them) names no token.
    """

    def first(*names: str) -> int | None:
        for owner in (tokenizer, config):
            for name in names:
                value = getattr(owner, name, None)
                value = value[0] if isinstance(value, list) and value else value
                if isinstance(value, int) and 0 <= value < embedded:
                    return value
        return None

    eos = first("eos_token_id")
    if eos is None:
        raise FoundationError(
            f"neither tokenizer nor config.json names an end token among the {embedded} that the model embeds; add "
            "eos_token_id to config.json"
        )
    pad, prefix = first("pad_token_id"), first("bos_token_id", "eos_token_id")
    return eos, eos if pad is None else pad, eos if prefix is None else prefix


@torch.no_grad()
def _few_features(head: CausalHead) -> Tensor:
    """Features of a few tokens, which every layer takes part in."""
    tokens = torch.arange(8)[None] % head.lm.get_input_embeddings().num_embeddings  # type: ignore[operator]
    return head(tokens=tokens)  # type: ignore[no-any-return]


@torch.no_grad()
def _head_of(lm: nn.Module, name: str) -> CausalHead:
    """The model as one module whose logits, made in two steps, are its own."""
    tokens = torch.arange(4)[None]
    try:
        own: Tensor = lm(input_ids=tokens).logits[0]
        _refuse_looking_ahead(lm, own, name)
        head = CausalHead(lm)
        head = CausalHead(lm, own_layers(lm, tokens, head(tokens=tokens)))
    except FoundationError:
        raise
    except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise FoundationError(
            f"{name} ({type(lm).__name__}) does not answer as transformers' causal language models do "
            f"({type(error).__name__}: {error}); use another foundation"
        ) from error
    return head


def _refuse_looking_ahead(lm: nn.Module, own: Tensor, name: str) -> None:
    """Refuses a model whose tokens see those after them, as BERT's do unless they are told otherwise.

    Args:
        lm: the model.
        own: its logits of the tokens 0, 1, 2, ...
        name: the model, for the message.
    """
    first: Tensor = lm(input_ids=torch.arange(2)[None]).logits[0]
    if not float((own[:2] - first).abs().max()) <= 1e-3 * float(first.abs().max()):
        raise FoundationError(
            f"{name} ({type(lm).__name__}): what it says of a text's beginning depends on what follows, so it would "
            "have read each answer before it is asked for it; write is_decoder: true in config.json if it was trained "
            "to read from left to right, or use another foundation"
        )
