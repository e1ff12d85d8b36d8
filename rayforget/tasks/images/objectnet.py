"""ObjectNet's folders -> its 113 classes that ImageNet knows, each standing for one or more of ImageNet's.

Scored as in WiSE-FT (arXiv 2109.01903), over the ImageNet classes that the maps name: a label's logit is the largest of
its classes' logits. So one classifier over ImageNet's classes serves zero-shot, fine-tuned and interpolated models. The
set's other 200 folders have no ImageNet class and are left out; its red border is cropped by 2 pixels.
"""

import json
from pathlib import Path
from typing import Any

from rayforget.errors import TaskError
from rayforget.tasks.images.imagenet_names import imagenet_class_names, imagenet_ids, imagenet_templates
from rayforget.tasks.images.suite import Suite

BORDER_PIXELS = 2


def objectnet(images: Path) -> Suite:
    """Reads the maps that come with the data set, from `mappings` beside the folder of the images.

    Files: folder_to_objectnet_label.json (folder -> label), objectnet_to_imagenet_1k.json (label -> ImageNet's names,
    separated by `; `), imagenet_to_label_2012_v2 (one of those names per line), pytorch_to_imagenet_2012_id.json (class
    index in the order of WordNet ids -> line).

    Raises:
        TaskError: a map is missing, or two disagree.
    """
    maps = _maps_folder(images)
    labels: dict[str, str] = _json(maps / "folder_to_objectnet_label.json")
    to_imagenet: dict[str, str] = _json(maps / "objectnet_to_imagenet_1k.json")
    index_of_line = {int(line): int(index) for index, line in _json(maps / "pytorch_to_imagenet_2012_id.json").items()}
    lines = (maps / "imagenet_to_label_2012_v2").read_text(encoding="utf-8").splitlines()
    index_of_name = {name.strip(): index_of_line[line] for line, name in enumerate(lines) if line in index_of_line}
    try:
        groups = {
            folder: sorted(index_of_name[name] for name in to_imagenet[label].split("; "))
            for folder, label in sorted(labels.items())
            if label in to_imagenet
        }
    except KeyError as error:
        raise TaskError(f"{maps}: no ImageNet class is called {error}; copy ObjectNet's mappings again") from error
    used = sorted({index for group in groups.values() for index in group})
    position = {index: place for place, index in enumerate(used)}
    ids, names = imagenet_ids("imagenet"), imagenet_class_names()
    return Suite(
        class_ids=tuple(ids[index] for index in used),
        class_names=tuple(names[index] for index in used),
        templates=imagenet_templates(),
        folders={folder: label for label, folder in enumerate(groups)},
        class_groups=tuple(tuple(position[index] for index in group) for group in groups.values()),
        ignored=frozenset(labels.keys() - groups.keys()),
        border=BORDER_PIXELS,
    )


def _maps_folder(images: Path) -> Path:
    if not images.is_dir():
        raise TaskError(f"{images}: no such folder; give images/ of ObjectNet's unpacked archive")
    folder = images.parent / "mappings"
    if not folder.is_dir():
        raise TaskError(f"{images}: no folder `mappings` beside it; point to images/ in ObjectNet's unpacked archive")
    return folder


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{path}: cannot be read ({error}); copy ObjectNet's mappings again") from error
