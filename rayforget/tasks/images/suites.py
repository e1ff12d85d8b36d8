"""The ImageNet family: class names, prompts, and the map from each set's folders to its classes."""

from pathlib import Path
from typing import assert_never

from rayforget.errors import TaskError
from rayforget.space.tasks.data import FolderSource, Source, SuiteName
from rayforget.tasks.images.imagenet_names import imagenet_class_names, imagenet_ids, imagenet_templates
from rayforget.tasks.images.suite import Suite


def load_suite(name: SuiteName, source: Source) -> Suite:
    """The suite of this name; ObjectNet's maps are read from beside the folders of `source`.

    The class list is the suite's, even if some of its folders are missing.

    Raises:
        TaskError: ObjectNet's maps are missing.
    """
    match name:
        case "imagenet" | "imagenet_sketch":
            return _subset(imagenet_ids("imagenet"))
        case "imagenet_v2":
            return _v2()
        case "imagenet_r":
            return _subset(imagenet_ids("imagenet_r"))
        case "imagenet_a":
            return _subset(imagenet_ids("imagenet_a"))
        case "objectnet":
            if not isinstance(source, FolderSource):
                raise TaskError("suite objectnet: expected kind: folder (objectnet-1.0/images, beside its mappings)")
            from rayforget.tasks.images.objectnet import objectnet

            return objectnet(Path(source.path))
        case _:
            assert_never(name)


def _subset(ids: tuple[str, ...]) -> Suite:
    """A subset of ImageNet's classes; folders are named by WordNet id."""
    names = dict(zip(imagenet_ids("imagenet"), imagenet_class_names(), strict=True))
    return Suite(
        class_ids=ids,
        class_names=tuple(names[wnid] for wnid in ids),
        templates=imagenet_templates(),
        folders={wnid: index for index, wnid in enumerate(ids)},
    )


def _v2() -> Suite:
    """ImageNet-V2, whose folders are class indices in decimal: sorted as text (0, 1, 10, 100), labelled as numbers."""
    whole = _subset(imagenet_ids("imagenet"))
    return Suite(
        class_ids=whole.class_ids,
        class_names=whole.class_names,
        templates=whole.templates,
        folders={str(index): index for index in range(len(whole.class_ids))},
    )
