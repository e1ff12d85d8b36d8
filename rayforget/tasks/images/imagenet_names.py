"""ImageNet's class ids, names and prompts, read from the installed timm and open_clip without importing them.

Importing open_clip takes seconds, and `rayforget check` needs only these lists.
"""

import functools
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Literal

from rayforget.errors import TaskError


def imagenet_class_names() -> tuple[str, ...]:
    """open_clip's 1000 names, in ImageNet's order; two of them occur twice, so names do not identify classes."""
    return tuple(_zero_shot_metadata().IMAGENET_CLASSNAMES)


def imagenet_templates() -> tuple[str, ...]:
    """The 80 prompts of the CLIP paper, with {} for the class name."""
    return tuple(template("{}") for template in _zero_shot_metadata().OPENAI_IMAGENET_TEMPLATES)


def imagenet_ids(subset: Literal["imagenet", "imagenet_r", "imagenet_a"]) -> tuple[str, ...]:
    """WordNet ids (`n01440764`) of ImageNet's 1000 classes, or of the 200 of -R or -A, in ImageNet's order."""
    return tuple((_package_folder("timm") / "data" / "_info" / f"{subset}_synsets.txt").read_text().split())


@functools.cache
def _zero_shot_metadata() -> ModuleType:
    """open_clip/zero_shot_metadata.py loaded as a standalone module, which imports nothing."""
    path = _package_folder("open_clip") / "zero_shot_metadata.py"
    spec = importlib.util.spec_from_file_location("rayforget._zero_shot_metadata", path)
    if spec is None or spec.loader is None:
        raise TaskError(f"{path}: expected open_clip's class names here; install open_clip_torch anew")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _package_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TaskError(f"package {package} is not installed; it holds ImageNet's class names")
    return Path(spec.submodule_search_locations[0])
