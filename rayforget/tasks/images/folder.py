"""A folder with one sub-folder per class -> its images, classes and files sorted by name."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rayforget.errors import TaskError
from rayforget.tasks.images.file_stamps import file_stamp

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})


class FolderImages:
    """Images at ROOT/CLASS/**/FILE; hidden files and files with other extensions are ignored."""

    class_names: tuple[str, ...] | None

    def __init__(self, root: Path) -> None:
        """Lists the folder.

        Raises:
            TaskError: the folder is missing, has no class folder, or a class folder has no image.
        """
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing"
            raise TaskError(f"{root}: expected a folder with one sub-folder per class, found {found}; correct the path")
        names = sorted(name for name in os.listdir(root) if os.path.isdir(root / name) and not name.startswith("."))
        if not names:
            raise TaskError(f"{root}: expected one sub-folder per class, found none; point to the folder above them")
        self._root = root
        self._paths: list[str] = []
        self._labels: list[int] = []
        for label, name in enumerate(names):
            paths = list(_image_paths(root, name))
            if not paths:
                extensions = " ".join(sorted(IMAGE_EXTENSIONS))
                raise TaskError(f"{root / name}: no image in this class folder; expected {extensions}, or no folder")
            self._paths += paths
            self._labels += [label] * len(paths)
        self.class_names = tuple(names)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._paths)

    def name(self, index: int) -> str:
        """Path of an image."""
        return str(self._root / self._paths[index])

    def label(self, index: int) -> int:
        """Index of its folder in `class_names`."""
        return self._labels[index]

    def read(self, index: int) -> bytes:
        """The file's bytes."""
        return (self._root / self._paths[index]).read_bytes()

    def size(self, index: int) -> int:
        """The file's length."""
        return (self._root / self._paths[index]).stat().st_size

    @property
    def place(self) -> str:
        """The folder's path."""
        return f"folder {os.path.abspath(self._root)}"

    def stamps(self, indices: Sequence[int]) -> list[bytes | None]:
        """The files' stamps."""
        return [file_stamp(self._root / self._paths[index]) for index in indices]


def _image_paths(root: Path, class_name: str) -> Iterator[str]:
    """Paths of a class's images relative to `root`, each folder's files sorted, sub-folders after them."""
    for folder, subfolders, files in os.walk(root / class_name):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        relative = os.path.relpath(folder, root)
        for file in sorted(files):
            if not file.startswith(".") and os.path.splitext(file)[1].lower() in IMAGE_EXTENSIONS:
                yield os.path.join(relative, file)
