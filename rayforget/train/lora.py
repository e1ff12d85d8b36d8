"""LoRA (Hu et al. 2021) through peft: attached to a learner's linear layers, and merged back exactly.

    W = W0 + scale * B @ A,   B (out x r) starts at 0, A (r x in) at random, scale constant over ranks

At step 0 the merged model is theta_0 to the bit, since B = 0. peft's lora_alpha is scale * rank; the name appears only
in this file. The merge runs on the CPU in fp32, so that equal factors give equal weights on every machine.
"""

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from rayforget.distributed import all_reduce_sum
from rayforget.errors import FoundationError
from rayforget.space.recipe import LoraAdapter
from rayforget.train.sharding import own_share, whole

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
    transposed: bool = False
    """Whether the weight has shape (in, out)."""


def attach_lora(
    module: nn.Module, adapter: LoraAdapter, *, seed: int, output: nn.Module | None = None
) -> list[LoraFactors]:
    """Adds an adapter to every linear layer whose name ends in one of `adapter.targets`; the rest is frozen.

    Without targets these are all trained linear layers except `output` and a head, and except layers that compute more
    than their product (routers). transformers' Conv1D (GPT-2) is a linear layer whose weight is stored transposed.

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

    if adapter.targets is not None:
        check_targets(module, list(adapter.targets))
    targets = [name for name, part in _adaptable(module) if _is_target(name, part, adapter.targets, output)]
    if not targets:
        raise FoundationError(
            f"adapter: {type(module).__name__} trains no linear layer that could be adapted; "
            "write adapter: {kind: full}"
        )
    _check_not_shared(module, targets)
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
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False", category=UserWarning)
        inject_adapter_in_model(config, module, adapter_name=_ADAPTER)
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
        change = lora.scale * (b @ a)
        weights[lora.name] += change.T if lora.transposed else change
    return weights


def _named_tensors(module: nn.Module) -> Mapping[str, Tensor]:
    floating = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    return floating


def _is_head(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith("head.") and parameter.requires_grad


def _adaptable(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The trained layers that compute x @ W^T and no more, by their names."""
    for name, part in module.named_modules():
        if _is_linear(part) and cast(Tensor, part.weight).requires_grad:
            yield name, part


def _is_linear(part: nn.Module) -> bool:
    if isinstance(part, nn.Linear):
        return type(part).forward is nn.Linear.forward or _is_product(part)
    stored_transposed = sys.modules.get("transformers.pytorch_utils")  # not loaded: no model has such a layer
    return stored_transposed is not None and isinstance(part, stored_transposed.Conv1D)


@torch.no_grad()
def _is_product(part: nn.Linear) -> bool:
    """Whether a kind of nn.Linear with its own forward answers as nn.Linear does: Falcon's does, routers do not."""
    few = torch.linspace(-1, 1, 2 * part.in_features, device=part.weight.device, dtype=part.weight.dtype)
    few = few.view(2, part.in_features)
    try:
        found = part(few)
    except (IndexError, RuntimeError, TypeError, ValueError):
        return False
    expected = nn.functional.linear(few, part.weight, part.bias)
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return found.is_meta or torch.allclose(found, expected, atol=1e-4, rtol=1e-4)


def _is_target(name: str, part: nn.Module, targets: Sequence[str] | None, output: nn.Module | None) -> bool:
    if targets is None:
        return (output is None or part not in set(output.modules())) and not name.startswith("head")
    return any(name == target or name.endswith(f".{target}") for target in targets)


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


def check_targets(module: nn.Module, targets: list[str]) -> None:
    """Raises FoundationError if a target matches no linear layer of the module; the message lists those that exist."""
    adaptable = dict(_adaptable(module))
    linear = sorted({name.rsplit(".", 1)[-1] for name in adaptable})
    without_text = "visual" in dict(module.named_children())
    hint = ". A text tower takes adapters with head: text only" if without_text else ""
    for target in targets:
        if not any(_is_target(name, part, (target,), None) for name, part in adaptable.items()):
            raise FoundationError(
                f"adapter.targets names {target!r}, which matches no linear layer that is trained; "
                f"there are: {', '.join(linear) or 'none'}{hint}"
            )
    _check_not_shared(module, targets)


def refuse_without_gradient(factors: Sequence[LoraFactors], device: torch.device) -> None:
    """Refuses adapters that took no part in a step; call it on all ranks after the first backward.

    B starts at 0 and A does not, so B has a gradient as soon as its layer's output matters. It has none if the model
    reads the layer's weight instead of calling the layer, or does not use it at all.

    Raises:
        FoundationError: on every rank; names the layers.
    """
    moved = torch.tensor([_has_gradient(lora.b) for lora in factors], dtype=torch.float64, device=device)
    alive = (all_reduce_sum(moved) > 0).tolist()
    dead = [lora.name.removesuffix(".weight") for lora, lives in zip(factors, alive, strict=True) if not lives]
    if not dead:
        return
    ends = {name.rsplit(".", 1)[-1] for name in dead}
    others = {lora.name.removesuffix(".weight").rsplit(".", 1)[-1] for lora in factors} - ends
    advice = f"adapter.targets: [{', '.join(sorted(others))}], or " if others else ""
    more = f" and {len(dead) - 5} more" if len(dead) > 5 else ""
    raise FoundationError(
        f"adapter: {len(dead)} of {len(factors)} adapters have no effect, since the model reads these layers' weights "
        f"itself or does not use them: {', '.join(dead[:5])}{more}; write {advice}adapter: {{kind: full}}"
    )


def _has_gradient(b: nn.Parameter) -> bool:
    return b.grad is not None and bool(own_share(b.grad).count_nonzero())


def _check_not_shared(module: nn.Module, targets: list[str]) -> None:
    owners: dict[int, list[str]] = {}
    for name, part in module.named_modules():
        if isinstance(weight := getattr(part, "weight", None), nn.Parameter):
            owners.setdefault(id(weight), []).append(name)
    for name, part in module.named_modules():
        if not _is_linear(part) or not any(name == t or name.endswith(f".{t}") for t in targets):
            continue
        if others := [other for other in owners[id(cast(nn.Parameter, part.weight))] if other != name]:
            raise FoundationError(
                f"adapter.targets takes in {name}, whose weight is tied to {', '.join(others)}'s: an adapter "
                "would change one of them alone, and the merged model could not hold it; take it out of "
                "adapter.targets, or write adapter: {kind: full}, which trains both as one"
            )
