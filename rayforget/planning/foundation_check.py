"""A loaded space -> its foundation proven to be there, and its adapters' targets to match; no weights are loaded."""

import logging
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from rayforget.errors import FoundationError, SpaceError
from rayforget.extras import MissingExtraError, need
from rayforget.foundations.causal_lm.source import causal_source
from rayforget.foundations.clip.source import clip_source, quiet_open_clip
from rayforget.planning.counts import typical_recipes
from rayforget.space.load import LoadedSpace
from rayforget.space.method import Method
from rayforget.space.models import CausalLmFoundation, ClipFoundation, Foundation, Resources
from rayforget.space.recipe import LoraAdapter, Recipe

if TYPE_CHECKING:  # a space without targets is checked without torch: 2 s of CPU
    from torch import nn

logger = logging.getLogger(__name__)


def check_foundation(loaded: LoadedSpace) -> None:
    """Looks for the model's files, or its name and tag, and for the layers that adapters name.

    What lies on the hub is looked for by the workers: nothing is fetched here.

    Raises:
        SpaceError: with the file and line of what is wrong.
    """
    try:
        find_foundation(loaded.space.foundation)
    except (FoundationError, MissingExtraError) as error:
        key = re.match(r"foundation\.\w+|", str(error)).group() or "foundation.model"  # type: ignore[union-attr]
        about = "" if str(error).startswith(key) else f"{key}: "
        raise SpaceError(f"{loaded.where(key)}: {about}{error}") from None
    for method in loaded.methods:
        try:
            _check_targets(loaded.space.foundation, method)
        except FoundationError as error:
            place = loaded.where(f"methods.{method.name}.adapter.targets")
            raise SpaceError(f"{place}: methods.{method.name}: {error}") from None


def find_foundation(spec: Foundation) -> None:
    """Looks for what the foundation needs.

    Raises:
        FoundationError: a folder, a file in it, a model's name or its tag does not exist.
        MissingExtraError: a package that language models need is not installed.
    """
    match spec:
        case ClipFoundation():
            clip_source(spec)
        case CausalLmFoundation():
            need("lm_eval", "foundation.kind: causal_lm")
            causal_source(spec)


def check_gpus(resources: Resources, where: str = "") -> None:
    """Refuses workers on GPUs where this machine has too few for one slot; for sweeps on this machine alone.

    Args:
        resources: the space's.
        where: `space.yaml:12: `, for the message.

    Raises:
        SpaceError: no slot could ever start.
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


def _check_targets(spec: Foundation, method: Method) -> None:
    for recipe in _with_targets(method):
        module = _trained_layers(spec, recipe.head or "frozen")
        if module is not None:
            from rayforget.train.lora import check_targets

            assert isinstance(recipe.adapter, LoraAdapter)
            check_targets(module, list(recipe.adapter.targets or ()))


def _with_targets(method: Method) -> Iterator[Recipe]:
    for recipe in typical_recipes(method):
        if isinstance(recipe.adapter, LoraAdapter) and recipe.adapter.targets is not None:
            yield recipe


@cache
def _trained_layers(spec: Foundation, head: str) -> "nn.Module | None":
    """The layers that a recipe with this head trains, without values; None where only the workers can tell."""
    match spec:
        case ClipFoundation():
            return None if spec.model.startswith("hf-hub:") else _shaped(lambda: _clip_layers(spec, head))
        case CausalLmFoundation():
            source = causal_source(spec)
            return _shaped(lambda: _causal_layers(source.name)) if source.is_folder else None


def _shaped(build: Callable[[], "nn.Module"]) -> "nn.Module | None":
    """What `build` makes on the meta device; some models compute while they are built, which needs real values."""
    import torch

    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError, OSError, ValueError, TypeError, KeyError) as error:
        logger.info("adapter.targets are left to the workers: the model cannot be built without values: %s", error)
        return None


def _clip_layers(spec: ClipFoundation, head: str) -> "nn.Module":
    import open_clip
    from torch import nn

    from rayforget.foundations.clip.attention import swap_attention

    with quiet_open_clip():
        clip = open_clip.create_model(
            clip_source(spec).name, load_weights=False, pretrained_text=False, precision="fp32", device="meta"
        )
    swap_attention(clip)
    if head == "text":
        return nn.ModuleDict({"clip": clip})
    return nn.ModuleDict({"visual": clip.visual} | ({"head": nn.Linear(1, 1)} if head == "trained" else {}))


def _causal_layers(folder: str) -> "nn.Module":
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    from rayforget.foundations.causal_lm.head import CausalHead

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except StrictDataclassError as error:  # is neither a ValueError nor a TypeError
        raise ValueError(str(error)) from error
    return CausalHead(AutoModelForCausalLM.from_config(config))  # type: ignore[no-untyped-call]
