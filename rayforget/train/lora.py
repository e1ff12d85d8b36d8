"""LoRA (Hu et al. 2021) through peft: attached to a learner's linear layers, and merged back exactly.

    W = W0 + s * B @ A,   B (out x r) starts at 0, A (r x in) at random

    s = scale, constant over ranks;   with rsLoRA (Kalajdzievski 2023)  s = scale / sqrt(r)

At step 0 the merged model is theta_0 to the bit, since B = 0. peft's lora_alpha is scale * rank, or scale with rsLoRA;
the name appears only in this file. The merge runs on the CPU in fp32, so that equal factors give equal weights on every
machine. DoRA's lengths are in `rayforget.train.dora`.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn

from rayforget.distributed import all_reduce_sum
from rayforget.errors import FoundationError
from rayforget.space.recipe import LoraAdapter
from rayforget.train.dora import add_magnitudes, with_lengths
from rayforget.train.lora_targets import find_targets, saved_parts
from rayforget.train.sharding import own_share, whole

logger = logging.getLogger(__name__)

_ADAPTER = "default"
_EXPERT = re.compile(r"(experts?\.)\d+(?=\.|$)", re.IGNORECASE)


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
    """W0, frozen; None if only the factors are known."""

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
    module: nn.Module, adapter: LoraAdapter, *, seed: int, output: nn.Module | None = None
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

    Raises:
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
            base=cast(nn.Parameter, layer.get_base_layer().weight),
        )
        for name, layer in module.named_modules()
        if isinstance(layer, LoraLayer)
    ]


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


def merged_weights(module: nn.Module, factors: list[LoraFactors]) -> dict[str, Tensor]:
    """The module's parameters and buffers on the CPU in fp32, adapters merged, under its names without adapters.

    If the module is sharded, every rank must call it; every rank gets the whole.

    Returns:
        name -> a tensor that shares no memory with the module.
    """
    weights = {
        name.replace(".base_layer.", "."): whole(tensor.detach()).to("cpu", torch.float32, copy=True)
        for name, tensor in _named_tensors(module).items()
        if not is_of_adapter(name)
    }
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


def refuse_without_gradient(
    factors: Sequence[LoraFactors], device: torch.device, saved: Mapping[str, nn.Module] = MappingProxyType({})
) -> None:
    """Refuses adapters that took no part in a step; call it on all ranks after the first backward.

    B starts at 0 and A does not, so B has a gradient as soon as its layer's output matters. It has none if the model
    reads the layer's weight instead of calling the layer, or does not use it at all. An expert to which no token of the
    step was sent has none either: one of a layer's experts stands for all of them.

    Args:
        factors: the adapters.
        device: the device on which ranks communicate.
        saved: the layers that are trained in full beside them, by name.

    Raises:
        FoundationError: on every rank; names the layers.
    """
    lives = [_has_gradient(lora.b) for lora in factors]
    lives += [any(_has_gradient(weight) for weight in part.parameters()) for part in saved.values()]
    alive = (all_reduce_sum(torch.tensor(lives, dtype=torch.float64, device=device)) > 0).tolist()
    adapted = [lora.name.removesuffix(".weight") for lora in factors]
    used = {_kind(name) for name, is_alive in zip(adapted, alive, strict=False) if is_alive}
    if idle := [name for name, is_alive in zip(saved, alive[len(factors) :], strict=True) if not is_alive]:
        raise FoundationError(
            f"adapter.modules_to_save takes in layers that the model does not use: {_listed(idle)}; take them out"
        )
    dead = [name for name, is_alive in zip(adapted, alive, strict=False) if not is_alive and _kind(name) not in used]
    if not dead:
        return
    others = {name.rsplit(".", 1)[-1] for name in adapted} - {name.rsplit(".", 1)[-1] for name in dead}
    advice = f"adapter.targets: [{', '.join(sorted(others))}], or " if others else ""
    raise FoundationError(
        f"adapter: {len(dead)} of {len(factors)} adapters have no effect, since the model reads these layers' weights "
        f"itself or does not use them: {_listed(dead)}; write {advice}adapter: {{kind: full}}"
    )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"


def _kind(name: str) -> str:
    """A layer's name without the number of its expert."""
    return _EXPERT.sub(r"\1", name)


def _has_gradient(weight: nn.Parameter) -> bool:
    return weight.grad is not None and bool(own_share(weight.grad).count_nonzero())
