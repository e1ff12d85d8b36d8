"""A well-known image set's class names, prompts, and map from folders to labels."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The class names, prompts and labels of a well-known set."""

    class_ids: tuple[str, ...]
    """WordNet ids, which identify classes across sets (names repeat)."""
    class_names: tuple[str, ...]
    """One name per id."""
    templates: tuple[str, ...]
    """Prompts with {} for the class name."""
    folders: Mapping[str, int]
    """The set's own folder names -> label."""
    class_groups: tuple[tuple[int, ...], ...] | None = None
    """Label -> indices into `class_names`, if a label stands for several; None if labels are those indices."""
    ignored: frozenset[str] = frozenset()
    """Folders of the set that belong to no class."""
    border: int = 0
    """Pixels to crop from each side of every image."""

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self.class_groups) if self.class_groups is not None else len(self.class_names)
