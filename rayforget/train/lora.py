"""LoRA (Hu et al. 2021) through peft: attached to a learner's linear layers, and merged back exactly.

    W = W0 + s * B @ A,   B (out x r) starts at 0, A (r x in) at random

    s = scale, constant over ranks;   with rsLoRA (Kalajdzievski 2023)  s = scale / sqrt(r)

At step 0 the merged model is theta_0 to the bit, since B = 0. peft's lora_alpha is scale * rank, or scale with rsLoRA;
the name appears only in this file. The merge runs on the CPU in fp32, so that equal factors give equal weights on every
machine. DoRA's lengths are in `rayforget.train.dora`, QLoRA's base in `rayforget.train.four_bits`.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn

from rayforget.space.recipe import LoraAdapter
from rayforget.train.dora import add_magnitudes, with_lengths
from rayforget.train.four_bits import layers_in_4_bits, put_in_4_bits
from rayforget.train.lora_targets import find_layers_for_4_bits, find_targets, saved_parts
from rayforget.train.sharding import whole

logger = logging.getLogger(__name__)

_ADAPTER = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraFactors:
    """One adapted linear layer."""

    name: str
    """Name of the adapted weight in the module without the adapter, e.g. `visual...q_proj.weight`."""
    a: nn.Parameter
    """Shape (rank, in)."""
    b: nn.Parameter
    """Shape (out, rank)."""
    scale: float
    """s, the factor before B @ A."""
    transposed: bool = False
    """Whether the weight has shape (in, out)."""
    magnitude: nn.Parameter | None = None
    """DoRA's lengths of the rows, shape (out,); None without DoRA."""
    base: nn.Parameter | None = None
    """W0, frozen; None if only the factors are known, or if it is in 4 bits."""

    @property
    def trained(self) -> tuple[nn.Parameter, ...]:
        """All that the adapter trains."""
        return (self.a, self.b) if self.magnitude is None else (self.a, self.b, self.magnitude)

    def merged(self, start: Tensor, a: Tensor, b: Tensor, magnitude: Tensor | None) -> Tensor:
        """The layer's weight with these factors in place of its own; differentiable.

        Args:
            start: W0, in the layer's own shape.
            a: A.
            b: B.
            magnitude: DoRA's lengths.
        """
        change = self.scale * (b @ a)
        weight = start + (change.T if self.transposed else change)
        if magnitude is None:
            return weight
        return with_lengths(weight.T, magnitude).T if self.transposed else with_lengths(weight, magnitude)


def attach_lora(
    module: nn.Module,
    adapter: LoraAdapter,
    *,
    seed: int,
    output: nn.Module | None = None,
    device: torch.device | None = None,
) -> list[LoraFactors]:
    """Adds an adapter to every layer that `adapter.targets` names; the rest is frozen.

    Without targets these are all trained linear layers except `output` and a head, and except layers that compute more
    than their product (routers). transformers' Conv1D (GPT-2) is a linear layer whose weight is stored transposed.

    The layers of `adapter.modules_to_save`, and trained parameters outside the towers' linear layers (a classifier's
    weights), stay trained.

    Args:
        module: changed in place.
        adapter: the space's settings.
        seed: seed of A's random start.
        output: the layer between features and logits, if it is a part of its own.
        device: where to train, if the module is not there yet; a base in 4 bits is packed before it goes there.

    Raises:
        MissingExtraError: `adapter.base: nf4` without bitsandbytes.
        FoundationError: a name matches no layer (the message lists those that exist), or a layer that shares its
            weight with another, which would not get the adapter's change, or that cannot have DoRA's lengths.
    """
    from peft import LoraConfig, inject_adapter_in_model

    targets = find_targets(module, adapter, output)
    keep_trained = [parameter for name, parameter in module.named_parameters() if _is_head(name, parameter)]
    keep_trained += [
        weight for part in saved_parts(module, adapter).values() for weight in part.parameters() if weight.requires_grad
    ]
    lora_alpha = adapter.scale if adapter.use_rslora else adapter.scale * adapter.rank
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=lora_alpha,  # type: ignore[arg-type]  # peft divides it by the rank again, or by its root
        lora_dropout=adapter.dropout,
        use_rslora=adapter.use_rslora,
        use_dora=adapter.use_dora,
        target_modules=targets,
        bias="none",
    )
    if adapter.base == "nf4":
        names = find_layers_for_4_bits(module, adapter, output)
        put_in_4_bits(module, names, device or next(module.parameters()).device)
    if device is not None:
        module.to(device)
    device = next(module.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False", category=UserWarning)
        inject_adapter_in_model(config, module, adapter_name=_ADAPTER)
    if adapter.use_dora:
        add_magnitudes(module, _ADAPTER)
    _stay_linear(module)
    _note_experts(module)
    for parameter in keep_trained:
        parameter.requires_grad_(True)
    return lora_factors(module)


def lora_factors(module: nn.Module) -> list[LoraFactors]:
    """A module's adapters; sharding replaces the factors, so call it again afterwards."""
    from peft.tuners.lora import LoraLayer

    return [
        LoraFactors(
            name=f"{name}.weight",
            a=cast(nn.Parameter, layer.lora_A[_ADAPTER].weight),
            b=cast(nn.Parameter, layer.lora_B[_ADAPTER].weight),
            scale=layer.scaling[_ADAPTER],
            transposed=bool(getattr(layer, "fan_in_fan_out", False)),
            magnitude=_magnitude(layer),
            base=_base(layer),
        )
        for name, layer in module.named_modules()
        if isinstance(layer, LoraLayer)
    ]


def _base(layer: Any) -> nn.Parameter | None:
    """W0; None if it is in 4 bits."""
    return layer.get_base_layer()._parameters.get("weight")  # type: ignore[no-any-return]


def _magnitude(layer: Any) -> nn.Parameter | None:
    lengths = layer.lora_magnitude_vector
    return cast(nn.Parameter, lengths[_ADAPTER].weight) if _ADAPTER in lengths else None


@contextmanager
def adapters_off(module: nn.Module) -> Iterator[None]:
    """Switches the module's adapters off, for one forward pass without gradients.

    peft's own switch also changes `requires_grad`, which must not happen between a forward and its backward.
    """
    from peft.tuners.lora import LoraLayer

    layers = [layer for layer in module.modules() if isinstance(layer, LoraLayer)]
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


def merged_weights(
    module: nn.Module,
    factors: list[LoraFactors],
    *,
    in_4_bits: bool = False,
    full: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """The module's parameters and buffers on the CPU in fp32, adapters merged, under its names without adapters.

    If the module is sharded, every rank must call it; every rank gets the whole.

    Args:
        module: with adapters, or without.
        factors: its adapters.
        in_4_bits: whether adapters are merged into a base in 4 bits as it was trained on, and not into that base in
            full precision.
        full: fp32 values, on the CPU, of matrices that the module keeps in half precision (`half_base`).

    Returns:
        name -> a tensor that shares no memory with the module.
    """
    weights = {
        own: full[own].clone() if own in full else whole(tensor.detach()).to("cpu", torch.float32, copy=True)
        for name, tensor in _named_tensors(module).items()
        if not is_of_adapter(name)
        for own in (name.replace(".base_layer.", "."),)
    }
    for name, layer in layers_in_4_bits(module):
        weight = layer.weight.to("cpu") if in_4_bits else layer.full.clone()
        weights[f"{name}.weight".replace(".base_layer.", ".")] = weight
    for lora in factors:
        a, b, *lengths = (whole(factor.detach()).to("cpu", torch.float32) for factor in lora.trained)
        weights[lora.name].copy_(lora.merged(weights[lora.name], a, b, lengths[0] if lengths else None))
    return weights


def is_of_adapter(name: str) -> bool:
    """Whether a parameter of this name is an adapter's own: one of its factors or lengths."""
    return any(f".lora_{part}." in name for part in ("A", "B", "magnitude_vector"))


def _named_tensors(module: nn.Module) -> Mapping[str, Tensor]:
    floating = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    return floating


def _is_head(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith("head.") and parameter.requires_grad


def _stay_linear(module: nn.Module) -> None:
    """Lets adapted layers pass for the nn.Linear that they replace, in models that ask for the type first."""
    for part in module.modules():
        if hasattr(part, "lora_A") and isinstance(getattr(part, "base_layer", None), nn.Linear):
            part.__class__ = _linear_too(cast(Any, type(part)))


@cache
def _linear_too(adapted: Any) -> Any:
    return adapted if issubclass(adapted, nn.Linear) else type(adapted.__name__, (adapted, nn.Linear), {})


def _note_experts(module: nn.Module) -> None:
    """Says which experts stay as they are: their weights are stacked in one tensor, which is no linear layer."""
    stacked = [
        (f"{name}.{own}", weight.numel())
        for name, part in module.named_modules()
        if not isinstance(part, nn.modules.conv._ConvNd)
        for own, weight in part.named_parameters(recurse=False)
        if weight.ndim == 3 and len(weight) > 1 and "lora_" not in name
    ]
    if stacked:
        share = sum(count for _, count in stacked) / sum(weight.numel() for weight in module.parameters())
        _note(
            f"adapter: LoRA adapts linear layers, and {len(stacked)} stacks of experts are none ({stacked[0][0]} and "
            f"so on, {share:.0%} of all weights): they stay as they are; adapter: {{kind: full}} trains them"
        )


@cache
def _note(text: str) -> None:
    logger.warning("%s", text)
