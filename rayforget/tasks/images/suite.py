"""What a well-known set of images brings along: class names, prompts, and the map from its folders to labels."""

from collections.abc import Mapping
from dataclasses import dataclass


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
