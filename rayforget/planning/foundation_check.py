"""A loaded space -> its foundation verified to be there, and its adapters' targets to match; loads no weights."""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from rayforget.errors import FoundationError, SpaceError
from rayforget.extensions.extras import MissingExtraError, need
from rayforget.foundations.kind import kind_of
from rayforget.planning.counts import typical_recipes
from rayforget.space.file.load import LoadedSpace
from rayforget.space.foundation import FoundationConfig
from rayforget.space.method import Method
from rayforget.space.parts import Resources
from rayforget.space.recipe import LoraAdapter, Recipe

_KEY = re.compile(r"^foundation\.\w+(: | )(?:local-dir:)?")

if TYPE_CHECKING:  # a space without targets is checked without torch: saves 2 s of CPU
    from torch import nn


def check_foundation(loaded: LoadedSpace) -> None:
    """Checks the model's files, or its name and tag, and the layers that adapters name.

    The workers look for what lies on the hub: nothing is downloaded here.

    Raises:
        SpaceError: names the file and line of the fault.
    """
    try:
        kind_of(loaded.space.foundation).find(loaded.space.foundation)
    except (FoundationError, MissingExtraError) as error:
        key = re.match(r"foundation\.\w+|", str(error)).group() or "foundation.model"  # type: ignore[union-attr]
        if ("foundation", "kind") not in loaded.document.places:  # an option named the model, and no line of a file
            raise SpaceError(f"{loaded.where('foundation')}: {as_typed(str(error))}") from None
        about = "" if str(error).startswith(key) else f"{key}: "
        raise SpaceError(f"{loaded.where(key)}: {about}{error}") from None
    for method in loaded.methods:
        try:
            if any(recipe.in_4_bits for recipe in typical_recipes(method)):
                need("bitsandbytes", "adapter.base: nf4")
            _check_targets(loaded.space.foundation, method)
        except (FoundationError, MissingExtraError) as error:
            key = "targets" if isinstance(error, FoundationError) else "base"
            place = loaded.where(f"methods.{method.name}.adapter.{key}")
            raise SpaceError(f"{place}: methods.{method.name}: {error}") from None


def as_typed(message: str) -> str:
    """A fault of a model that an option names, without the key of a space file in which nobody has written it."""
    return _KEY.sub("", message)


def check_gpus(resources: Resources, where: str = "") -> None:
    """Refuses workers on GPUs if this machine has too few for one slot; only for sweeps on this machine alone.

    Args:
        resources: the space's.
        where: `space.yaml:12: `, for the message.

    Raises:
        SpaceError: there are too few GPUs for any slot to start.
    """
    if not resources.gpus_per_worker:
        return
    import torch

    there = torch.cuda.device_count()
    if there // resources.gpus_per_worker < resources.workers_per_slot:
        raise SpaceError(
            f"{where}resources.gpus_per_worker: found {resources.gpus_per_worker:g} with workers_per_slot: "
            f"{resources.workers_per_slot}, and this machine has {there} GPUs that torch can use; write 0, or run it "
            "where they are: --address"
        )


def _check_targets(spec: FoundationConfig, method: Method) -> None:
    for recipe in _with_targets(method):
        module = _trained_layers(spec, recipe.head)
        if module is not None:
            from rayforget.train.lora_targets import check_targets

            assert isinstance(recipe.adapter, LoraAdapter)
            check_targets(module, recipe.adapter)


def _with_targets(method: Method) -> Iterator[Recipe]:
    for recipe in typical_recipes(method):
        adapter = recipe.adapter
        if isinstance(adapter, LoraAdapter) and (adapter.targets is not None or adapter.modules_to_save):
            yield recipe


@cache
def _trained_layers(spec: FoundationConfig, head: str | None) -> "nn.Module | None":
    return kind_of(spec).trained_layers(spec, head)
