"""An adapter's names -> the layers of a module that are adapted, and those that are trained in full beside them."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.space.recipe import LoraAdapter

_WORDS = (
    ("attention", re.compile(r"attn|attention", re.IGNORECASE)),
    ("mlp", re.compile(r"mlp|ffn|feed_?forward|experts?$|moe$", re.IGNORECASE)),
    (None, re.compile(r"mamba|mixer|ssm|rwkv|conv", re.IGNORECASE)),
)
"""What a part is by its class or name; None: a mixer of another kind. The first that fits decides."""
_BLOCK = re.compile(r"(block|layer)$", re.IGNORECASE)
"""Classes of whole blocks, such as ResidualAttentionBlock, whose names say nothing about the layers in them."""
_ALL, _PRESETS = "all-linear", ("all-linear", "attention", "mlp")


def find_targets(module: nn.Module, adapter: LoraAdapter, output: nn.Module | None) -> list[str]:
    """The names of the linear layers to adapt, in the module's order.

    Args:
        module: without adapters.
        adapter: its `targets` and `modules_to_save` are read.
        output: the layer between features and logits, if it is a part of its own; no preset takes it in.

    Raises:
        FoundationError: there is none; a name matches nothing, or a layer that shares its weight with another, or a
            layer that is trained in full too.
    """
    check_targets(module, adapter)
    found = _targets(module, adapter, output)
    if not found:
        raise FoundationError(
            f"adapter: {type(module).__name__} trains no linear layer that could be adapted; "
            "write adapter: {kind: full}"
        )
    _check_not_shared(module, found)
    return found


def find_layers_for_4_bits(module: nn.Module, adapter: LoraAdapter, output: nn.Module | None) -> list[str]:
    """The names of the linear layers that a base in 4 bits holds so: adapted or not, but no output, head or shared one.

    Arguments as of `find_targets`; call it before adapters are attached.
    """
    owners = Counter(id(getattr(part, "weight", None)) for _, part in module.named_modules())
    names = _targets(module, adapter.model_copy(update={"targets": None}), output)
    return [name for name in names if owners[id(module.get_submodule(name).weight)] == 1]


def check_targets(module: nn.Module, adapter: LoraAdapter) -> None:
    """Checks the adapter's names against a module, which may be without values.

    Raises:
        FoundationError: a name of `targets` matches no trained linear layer, or one of `modules_to_save` nothing that
            is trained; the message lists what exists.
    """
    adaptable = dict(_adaptable(module))
    linear = sorted({_last(name) for name in adaptable})
    without_text = "visual" in dict(module.named_children())
    hint = ". A text tower takes {} with head: text only" if without_text else ""
    for target in adapter.targets or ():
        if not any(_is_target(module, name, target, None) for name in adaptable):
            what = "transformer blocks with it" if target in _PRESETS else "linear layer that is trained"
            raise FoundationError(
                f"adapter.targets names {target!r}, which matches no {what}; "
                f"there are: {', '.join(linear) or 'none'}{hint.format('adapters')}"
            )
    saved = _saved(module, adapter)
    for name, parts in saved.items():
        if not parts:
            trained = {_last(part) for part, owner in module.named_modules() if part and _trains(owner)}
            there = sorted(part for part in trained if not part.isdigit())
            raise FoundationError(
                f"adapter.modules_to_save names {name!r}, which matches no layer that is trained; "
                f"there are: {', '.join(there) or 'none'}{hint.format('part in a training')}"
            )
    named = [target for target in adapter.targets or () if target not in _PRESETS]
    inside = [name for name in adaptable if any(_ends(name, one) for one in named) and _is_saved(name, saved)]
    if inside:
        raise FoundationError(
            f"adapter.targets takes in {inside[0]}, which is a part of adapter.modules_to_save: a layer is either "
            "adapted or trained in full; take it out of one of them"
        )
    _check_not_shared(module, [name for name in adaptable if any(_ends(name, one) for one in named)])


def saved_parts(module: nn.Module, adapter: LoraAdapter) -> dict[str, nn.Module]:
    """The layers that are trained in full, by their names in the module."""
    return {name: part for parts in _saved(module, adapter).values() for name, part in parts.items()}


def _targets(module: nn.Module, adapter: LoraAdapter, output: nn.Module | None) -> list[str]:
    saved = _saved(module, adapter)
    wanted = adapter.targets or (_ALL,)
    return [
        name
        for name, part in _adaptable(module)
        if not _is_saved(name, saved)
        and any(_is_target(module, name, one, output if one in _PRESETS else None, part) for one in wanted)
    ]


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


def _is_target(
    module: nn.Module, name: str, target: str, output: nn.Module | None, part: nn.Module | None = None
) -> bool:
    if target not in _PRESETS:
        return _ends(name, target)
    if (output is not None and part in set(output.modules())) or name.startswith("head"):
        return False
    return target == _ALL or place_in_block(module, name) == target


def place_in_block(module: nn.Module, name: str) -> str | None:
    """Whether a linear layer is of its block's `attention` or of its perceptron, `mlp`; None if of neither.

    The innermost part around it whose class or name says so decides. A layer in a block beside an attention, and in no
    other kind of mixer, belongs to the perceptron (OPT's fc1, BERT's intermediate.dense).
    """
    path = name.split(".")
    for depth in range(len(path) - 1, 0, -1):
        around = module.get_submodule(".".join(path[:depth]))
        kind = type(around).__name__
        if not _BLOCK.search(kind):
            for said in (kind, path[depth - 1]):
                for place, words in _WORDS:
                    if words.search(said):
                        return place
        if any(_WORDS[0][1].search(type(child).__name__) for child in around.children()):
            return "mlp"
    return None


def _saved(module: nn.Module, adapter: LoraAdapter) -> Mapping[str, Mapping[str, nn.Module]]:
    parts = list(module.named_modules())
    return {
        wanted: {name: part for name, part in parts if _ends(name, wanted) and _trains(part)}
        for wanted in adapter.modules_to_save
    }


def _is_saved(name: str, saved: Mapping[str, Mapping[str, nn.Module]]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for parts in saved.values() for part in parts)


def _trains(part: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in part.parameters())


def _ends(name: str, wanted: str) -> bool:
    return name == wanted or name.endswith(f".{wanted}")


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _check_not_shared(module: nn.Module, targets: list[str]) -> None:
    owners: dict[int, list[str]] = {}
    for name, part in module.named_modules():
        if isinstance(weight := getattr(part, "weight", None), nn.Parameter):
            owners.setdefault(id(weight), []).append(name)
    for name in targets:
        if others := [other for other in owners[id(module.get_submodule(name).weight)] if other != name]:
            raise FoundationError(
                f"adapter.targets takes in {name}, whose weight is tied to {', '.join(others)}'s: an adapter "
                "would change one of them alone, and the merged model could not hold it; take it out of "
                "adapter.targets, or write adapter: {kind: full}, which trains both as one"
            )
