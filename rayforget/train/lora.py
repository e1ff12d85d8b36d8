"""LoRA (Hu et al. 2021) through peft: attached to a learner's linear layers, and merged back exactly.

    W = W0 + scale * B @ A,   B (out x r) starts at 0, A (r x in) at random, scale constant over ranks

At step 0 the merged model is theta_0 to the bit, since B = 0. peft's lora_alpha is scale * rank; the name appears only
in this file. The merge runs on the CPU in fp32, so that equal factors give equal weights on every machine.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.space.recipe import LoraAdapter
from rayforget.train.sharding import whole

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


def attach_lora(
    module: nn.Module, adapter: LoraAdapter, *, seed: int, output: nn.Module | None = None
) -> list[LoraFactors]:
    """Adds an adapter to every linear layer whose name ends in one of `adapter.targets`; the rest is frozen.

    Without targets these are all linear layers except `output` and a head.

    Trained parameters outside the towers' linear layers (a classifier's weights) stay trained.

    Args:
        module: changed in place.
        adapter: rank, scale, dropout and targets.
        seed: seed of A's random start.
        output: the layer between features and logits, if it is a part of its own.

    Raises:
        FoundationError: a target matches no linear layer (the message lists those that exist), or matches one that
            shares its weight with another layer, which would not get the adapter's change.
    """
    from peft import LoraConfig, inject_adapter_in_model

    targets = list(adapter.targets or _inner_layers(module, output))
    check_targets(module, targets)
    keep_trained = [parameter for name, parameter in module.named_parameters() if _is_head(name, parameter)]
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.scale * adapter.rank,  # type: ignore[arg-type]  # peft divides it by the rank again
        lora_dropout=adapter.dropout,
        target_modules=targets,
        bias="none",
    )
    device = next(module.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, module, adapter_name=_ADAPTER)
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
        )
        for name, layer in module.named_modules()
        if isinstance(layer, LoraLayer)
    ]


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
        if ".lora_A." not in name and ".lora_B." not in name
    }
    for lora in factors:
        b, a = (whole(factor.detach()).to("cpu", torch.float32) for factor in (lora.b, lora.a))
        weights[lora.name] += lora.scale * (b @ a)
    return weights


def _named_tensors(module: nn.Module) -> Mapping[str, Tensor]:
    floating = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    return floating


def _is_head(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith("head.") and parameter.requires_grad


def _inner_layers(module: nn.Module, output: nn.Module | None) -> list[str]:
    return [
        name
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and part is not output and not name.startswith("head")
    ]


def check_targets(module: nn.Module, targets: list[str]) -> None:
    """Raises FoundationError if a target matches no linear layer of the module; the message lists those that exist."""
    linear = sorted({name.rsplit(".", 1)[-1] for name, part in module.named_modules() if isinstance(part, nn.Linear)})
    without_text = "visual" in dict(module.named_children())
    hint = ". A text tower takes adapters with head: text only" if without_text else ""
    for target in targets:
        if not any(
            name == target or name.endswith(f".{target}")
            for name, part in module.named_modules()
            if isinstance(part, nn.Linear)
        ):
            raise FoundationError(
                f"adapter.targets names {target!r}, which matches no linear layer that is trained; "
                f"there are: {', '.join(linear) or 'none'}{hint}"
            )
    _check_not_shared(module, targets)


def _check_not_shared(module: nn.Module, targets: list[str]) -> None:
    owners: dict[int, list[str]] = {}
    for name, part in module.named_modules():
        if isinstance(weight := getattr(part, "weight", None), nn.Parameter):
            owners.setdefault(id(weight), []).append(name)
    for name, part in module.named_modules():
        if not isinstance(part, nn.Linear) or not any(name == t or name.endswith(f".{t}") for t in targets):
            continue
        if others := [other for other in owners[id(part.weight)] if other != name]:
            raise FoundationError(
                f"adapter.targets takes in {name}, whose weight is tied to {', '.join(others)}'s: an adapter "
                "would change one of them alone, and the merged model could not hold it; take it out of "
                "adapter.targets, or write adapter: {kind: full}, which trains both as one"
            )
