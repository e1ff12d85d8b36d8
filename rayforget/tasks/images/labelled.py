"""A source labelled with a task's classes, which remembers its items' content hashes."""

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayforget.errors import TaskError
from rayforget.tasks.images.decoding import Reading
from rayforget.tasks.images.item_hashes import ItemHashes
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.sources import Draws, HasDepth, ImageSource, KnowsRevision, KnowsSizes, PassesOver
from rayforget.tasks.images.suite import Suite

logger = logging.getLogger(__name__)

_NUMBERED = re.compile(r"\d+[._ -]+(.+)")


class LabelledImages:
    """An `ImageSource` in which label -1 means that the item belongs to none of the task's classes."""

    class_names: tuple[str, ...] | None

    def __init__(self, source: ImageSource, *, classes: Sequence[int] | None = None, border: int = 0) -> None:
        """Wraps a source.

        Args:
            source: the items.
            classes: source label -> task class or -1; None keeps the labels.
            border: pixels to crop from each side of an image before any other step of decoding.
        """
        labels = np.fromiter((source.label(index) for index in range(len(source))), np.int64, len(source))
        self.class_names = source.class_names
        self.labels: NDArray[np.int64] = labels if classes is None else np.asarray(classes, dtype=np.int64)[labels]
        self.reading = Reading()
        self._source = source
        self._border = border
        self._contents = ItemHashes(source, self.read)

    def __len__(self) -> int:
        """Number of items, including those without a class."""
        return len(self.labels)

    def name(self, index: int) -> str:
        """Path or key of an item."""
        return self._source.name(index)

    def label(self, index: int) -> int:
        """The task's class of an item, or -1."""
        return int(self.labels[index])

    def read(self, index: int) -> bytes:
        """Encoded bytes of an image.

        Raises:
            TaskError: the item cannot be read at all (a broken image can be).
        """
        try:
            return self._source.read(index)
        except OSError as error:
            raise TaskError(f"{self.name(index)}: cannot be read ({error})") from error

    @property
    def revision(self) -> str | None:
        """The commit of the hub data set that the items come from, if any."""
        return self._source.revision if isinstance(self._source, KnowsRevision) else None

    @property
    def passed_over(self) -> str | None:
        """The files that the source does not take, if any."""
        return self._source.passed_over if isinstance(self._source, PassesOver) else None

    @property
    def deeper(self) -> str | None:
        """The folder that may be meant instead of the source's, if its classes' folders hold only folders."""
        return self._source.deeper if isinstance(self._source, HasDepth) else None

    @property
    def stream(self) -> tuple[str | int, ...] | None:
        """The random streams that the items are drawn from, if they are drawn."""
        return self._source.stream if isinstance(self._source, Draws) else None

    def size(self, index: int) -> int | None:
        """Encoded bytes of an item, if the source knows it without reading.

        Raises:
            TaskError: the item is missing: a link to nothing, or to itself.
        """
        try:
            return self._source.size(index) if isinstance(self._source, KnowsSizes) else None
        except OSError as error:
            raise TaskError(f"{self.name(index)}: cannot be read ({error})") from error

    def prepare(self, image: Image.Image) -> Image.Image:
        """Applies the data set's own rules before any decoder: crops the border."""
        if not self._border:
            return image
        width, height = image.size
        return image.crop((self._border, self._border, width - self._border, height - self._border))

    @property
    def prepare_key(self) -> str:
        """Everything that decides an image's pixels before the decoder."""
        return f"crop {self._border}, {self.reading.key}"

    def remember_in(self, store: HashStore) -> None:
        """Looks content hashes up in `store` before reading items, and adds new ones."""
        self._contents.remember_in(store)

    def content_hashes(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Content hashes of the items, shape (n, 16); each item is read at most once in this object's life."""
        return self._contents.of(indices)

    def forget_hashes(self) -> None:
        """Drops all known hashes of the items, in the store too."""
        self._contents.forget()


def label_by_suite(source: ImageSource, suite: Suite, *, strict: bool) -> LabelledImages:
    """A suite's items labelled with the suite's classes.

    Raises:
        TaskError: see `label_by_name`.
    """
    return label_by_name(
        source,
        suite.folders,
        num_classes=suite.num_classes,
        ignored=suite.ignored,
        border=suite.border,
        strict=strict,
    )


def label_by_name(
    source: ImageSource,
    known: Mapping[str, int],
    *,
    num_classes: int,
    strict: bool,
    ignored: frozenset[str] = frozenset(),
    border: int = 0,
) -> LabelledImages:
    """Maps the source's labels to the task's classes: by their names, else by index.

    Args:
        source: the items.
        known: name -> class; names are compared by `plain_name`, and a number before a name is left away. Names that
            are numbers are the classes' own, from 0 if one of them is 0, from 1 if one is `num_classes`.
        num_classes: number of the task's classes.
        strict: names must all be known (folders); otherwise unknown names, if as many as the classes, count as another
            wording of them in the same order.
        ignored: names that the data set has besides its classes; their items get label -1.
        border: see `LabelledImages`.

    Raises:
        TaskError: a label without a class name.
    """
    if source.class_names is None:
        return _in_range(LabelledImages(source, border=border), num_classes)
    _in_range(LabelledImages(source), len(source.class_names))
    spaced = {plain_name(name): index for name, index in known.items()}
    source_names = tuple(source.class_names)
    if all(match := [_NUMBERED.fullmatch(name) for name in source_names]):  # CUB's 001.Black_footed_Albatross
        bare = tuple(each.group(1) for each in match if each is not None)
        if all(plain_name(name) in spaced for name in bare):
            return LabelledImages(source, classes=[spaced[plain_name(name)] for name in bare], border=border)
    if (first := _first_number(source_names, num_classes)) is not None and not spaced.keys() & set(source_names):
        return LabelledImages(source, classes=[int(name) - first for name in source_names], border=border)
    dropped = {plain_name(name) for name in ignored}
    unknown = [
        name for name in source.class_names if plain_name(name) not in spaced and plain_name(name) not in dropped
    ]
    if not unknown:
        return LabelledImages(
            source, classes=[spaced.get(plain_name(n), -1) for n in source.class_names], border=border
        )
    if not strict and len(source.class_names) == num_classes:
        pairs = f"{source.class_names[0]!r} is class 0 of {num_classes}, ..., {source.class_names[-1]!r} the last"
        logger.info("class names that differ from the data's are taken in the data's order: %s", pairs)
        return LabelledImages(source, border=border)
    example = ", ".join(sorted(known)[:3])
    deeper = source.deeper if len(unknown) == len(source.class_names) and isinstance(source, HasDepth) else None
    raise TaskError(
        f"label without a class name: {unknown[0]!r} ({len(unknown)} of {len(source.class_names)} names unknown); "
        f"expected names such as {example}; {meant_deeper(deeper)}add it to the classes, name it by "
        f"`names: {{{unknown[0]}: NAME, ...}}`, or take it out of the data"
    )


def _in_range(images: LabelledImages, num_classes: int) -> LabelledImages:
    outside = np.flatnonzero((images.labels < 0) | (images.labels >= num_classes))
    if len(outside):
        index = int(outside[0])
        raise TaskError(
            f"label without a class name: {images.label(index)} of {images.name(index)}, expected 0 to "
            f"{num_classes - 1} ({len(outside)} such items)"
        )
    return images


def meant_deeper(folder: str | None) -> str:
    """A way out for who named the folder above the right one; nothing if no class's folder holds folders."""
    return "" if folder is None else f"if the classes' folders lie one deeper, write path: {folder}; if not, "


def _first_number(names: Sequence[str], num_classes: int) -> int | None:
    """The number of the first class if the names are the classes' numbers and show where they begin: at 0 or at 1."""
    if not all(name.isascii() and name.isdecimal() for name in names):
        return None
    numbers = [int(name) for name in names]
    for first in (0, 1):
        shown = first if first == 0 else num_classes
        if shown in numbers and min(numbers) >= first and max(numbers) < first + num_classes:
            return first
    return None


def plain_name(name: str) -> str:
    """A name as it is compared: _ read as a space, and accents composed (NFC), since disks of Macs take them apart."""
    return unicodedata.normalize("NFC", name).replace("_", " ")
