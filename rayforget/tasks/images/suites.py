"""The ImageNet family: class names, prompts, and the map from each set's own folders to its classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from rayforget.errors import TaskError
from rayforget.space.data import FolderSource, Source, SuiteName
from rayforget.tasks.images.imagenet_names import imagenet_class_names, imagenet_ids, imagenet_templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What a well-known set brings along."""

    class_ids: tuple[str, ...]
    """WordNet ids: what says that a class is the same as another set's (names repeat)."""
    class_names: tuple[str, ...]
    """One name per id."""
    templates: tuple[str, ...]
    """Prompts with {} for the class name."""
    folders: Mapping[str, int]
    """The set's own folder names -> label."""
    class_groups: tuple[tuple[int, ...], ...] | None = None
    """label -> indices into `class_names`, where a label stands for several; None where labels are those indices."""
    ignored: frozenset[str] = frozenset()
    """Folders that the set has and that belong to no class."""
    border: int = 0
    """Pixels to crop from each side of every image."""

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self.class_groups) if self.class_groups is not None else len(self.class_names)


def load_suite(name: SuiteName, source: Source) -> Suite:
    """The suite by name; ObjectNet's maps are read from beside the folders of `source`.

    The class list is the suite's, whichever of its folders are there.

    Raises:
        TaskError: ObjectNet without its maps.
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

            return objectnet(source.path)
        case _:
            assert_never(name)


def _subset(ids: tuple[str, ...]) -> Suite:
    """Some of ImageNet's classes; folders are named by WordNet id."""
    names = dict(zip(imagenet_ids("imagenet"), imagenet_class_names(), strict=True))
    return Suite(
        class_ids=ids,
        class_names=tuple(names[wnid] for wnid in ids),
        templates=imagenet_templates(),
        folders={wnid: index for index, wnid in enumerate(ids)},
    )


def _v2() -> Suite:
    """ImageNet-V2's folders are class indices in decimal: 0, 1, 10, 100 as text, but in number's order as labels."""
    whole = _subset(imagenet_ids("imagenet"))
    return Suite(
        class_ids=whole.class_ids,
        class_names=whole.class_names,
        templates=whole.templates,
        folders={str(index): index for index in range(len(whole.class_ids))},
    )
