"""A folder with one sub-folder per class -> its images, classes and files sorted by name."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rayforget.errors import TaskError
from rayforget.tasks.images.file_stamps import file_stamp

_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
"""Folders that hold a set's splits, by the split that each is."""
IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
_NUM_NAMED = 5


class FolderImages:
    """Images at ROOT/CLASS/**/FILE; links to folders are followed, hidden files ignored, other files passed over."""

    class_names: tuple[str, ...] | None
    passed_over: str | None
    """The files in the classes' folders that are no images by their names, and images beside these folders."""
    deeper: str | None
    """The first folder with folders of images in it, if every class's folder is one."""

    def __init__(self, root: Path, split: str = "train") -> None:
        """Lists the folder.

        Args:
            root: the folder.
            split: what it is to be, for the message that it holds the folders of all splits.

        Raises:
            TaskError: the folder is missing, has no class folder, has the splits' folders in place of the classes', or
                a class folder has no image.
        """
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing"
            raise TaskError(f"{root}: expected a folder with one sub-folder per class, found {found}; correct the path")
        names = sorted(name for name in os.listdir(root) if os.path.isdir(root / name) and not name.startswith("."))
        if not names:
            raise TaskError(f"{root}: expected one sub-folder per class, found none; point to the folder above them")
        _refuse_splits(root, names, split)
        self._root = root
        self._paths: list[str] = []
        self._labels: list[int] = []
        others = sorted(name for name in os.listdir(root) if _is_image(name) and os.path.isfile(root / name))
        for label, name in enumerate(names):
            files = list(_files(root, name, ()))
            paths = [path for path in files if _is_image(path)]
            others += [path for path in files if not _is_image(path)]
            if not paths:
                extensions = " ".join(sorted(IMAGE_EXTENSIONS))
                raise TaskError(f"{root / name}: no image in this class folder; expected {extensions}, or no folder")
            self._paths += paths
            self._labels += [label] * len(paths)
        self.class_names = tuple(names)
        self.passed_over = _named(root, others)
        self.deeper = _deeper(root, self._paths)

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


def _files(root: Path, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Paths of the files below a folder, relative to `root`: a folder's own sorted, then those of its sub-folders.

    Args:
        root: the set's folder.
        folder: relative to `root`.
        above: device and inode of the folders that it lies in; a link to one of them would lead round for ever.
    """
    found = os.stat(root / folder)
    place = (found.st_dev, found.st_ino)
    if place in above:
        return
    names = sorted(name for name in os.listdir(root / folder) if not name.startswith("."))
    folders = [name for name in names if os.path.isdir(root / folder / name)]
    for name in sorted(set(names).difference(folders)):
        yield os.path.join(folder, name)
    for name in folders:
        yield from _files(root, os.path.join(folder, name), (*above, place))


def _refuse_splits(root: Path, names: Sequence[str], split: str) -> None:
    """Refuses two or more folders that are named as splits are, and hold no images but the classes' folders."""
    of_split = {name: part for name in names for part, known in _SPLITS.items() if name.lower() in known}
    found = [name for name in of_split if _holds_folders_alone(root / name)]
    if len(found) < 2:
        return
    own, scored = ([name for name in found if of_split[name] in parts] for parts in ((split,), ("val", "test")))
    meant = (own or scored or found)[0]
    raise TaskError(
        f"{root}: expected one sub-folder per class, found those of the splits ({', '.join(found)}); write "
        f"path: {root / meant}"
    )


def _holds_folders_alone(folder: Path) -> bool:
    inside = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return any(entry.is_dir() for entry in inside) and not any(_is_image(entry.name) for entry in inside)


def _deeper(root: Path, paths: Sequence[str]) -> str | None:
    if any(path.count(os.sep) < 2 for path in paths):
        return None
    return str(root / paths[0].split(os.sep, 1)[0])


def _is_image(path: str) -> bool:
    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def _named(root: Path, files: Sequence[str]) -> str | None:
    """`3 files passed over (2 .jfif, 1 without extension): dog/1.jfif, ...`."""
    if not files:
        return None
    counts = Counter(
        (os.path.splitext(file)[1].lower() or "without extension")
        if os.path.exists(root / file)
        else "links to nothing"
        for file in files
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    number = "1 file" if len(files) == 1 else f"{len(files)} files"
    more = ", ..." if len(files) > _NUM_NAMED else ""
    return f"{number} passed over ({kinds}): {', '.join(files[:_NUM_NAMED])}{more}"
