"""Tar shards in webdataset's layout -> random access to their images, without unpacking or copying them.

The headers are read once; then an item is one seek and one read. Loading the shards through `datasets` would write a
second copy of all bytes into its cache, and `webdataset` itself only streams.
"""

import glob
import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from rayforget.errors import TaskError
from rayforget.lfs import BEGINNING, told
from rayforget.tasks.images.braces import expand_braces, num_expansions
from rayforget.tasks.images.file_stamps import file_stamp, stamp_of
from rayforget.tasks.images.gzip_random import is_gzip, read_span
from rayforget.tasks.images.shard_labels import Several, indices_of, read_label
from rayforget.tasks.images.tar_end import prove_end

_LONGEST_PATTERN = 4096
_MOST_SHARDS = 100_000
_MOST_OF_A_LABEL = 2**20
"""Bytes of a label file."""


@dataclass(frozen=True, slots=True)
class _Member:
    """The position of one file in its shard."""

    shard: int
    offset: int
    size: int
    extension: str


class ShardImages:
    """Samples KEY.image beside KEY.label, shard by shard, each in the shard's own order."""

    class_names: tuple[str, ...] | None
    labels_are_names: bool
    """Whether the labels are names instead of class indices."""

    def __init__(
        self, pattern: str, *, image: str, label: str, label_key: str = "label", several: Several | None = None
    ) -> None:
        """Reads the shards' headers and the labels.

        Args:
            pattern: path of the shards, with `{000..012}`, `{a,b}` and globs.
            image: extensions of the images, without the leading dot, separated by semicolons, best first.
            label: extension of the labels, without the leading dot.
            label_key: where a label that is a JSON object has the class.
            several: whether the labels are captions or names of classes, one in each line.

        Raises:
            TaskError: a shard is missing or damaged, or a sample lacks its image or its label.
        """
        self._pattern = pattern
        self._shards = expand_shards(pattern)
        self._image = image.lower()
        self._keys: list[str] = []
        self._images: list[_Member] = []
        extensions = tuple(each.strip() for each in self._image.split(";"))
        json_key = label_key if label.lower().rpartition(".")[2] == "json" else None
        found: list[int | str] = []
        for number, shard in enumerate(self._shards):
            images, labels, seen = _members(number, shard, extensions, label.lower())
            if images.keys() != labels.keys():
                key = sorted(images.keys() ^ labels.keys())[0]
                lacking = label if key in images else image
                raise TaskError(
                    f"{shard}: sample {key} has no .{lacking}; extensions in this shard: {seen}; write them as "
                    "`image: jpg;png` and `label: json`"
                )
            if not images:
                raise TaskError(f"{shard}: no sample with .{image} and .{label}; extensions in this shard: {seen}")
            self._keys += images
            self._images += images.values()
            found += [read_label(shard, key, labels[key], json_key=json_key, several=several) for key in images]
        self.class_names, self._labels = indices_of(pattern, found)
        self.labels_are_names = self.class_names is not None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._keys)

    def name(self, index: int) -> str:
        """SHARD:KEY.EXTENSION."""
        member = self._images[index]
        return f"{self._shards[member.shard]}:{self._keys[index]}.{member.extension}"

    def label(self, index: int) -> int:
        """The class index beside the image."""
        return self._labels[index]

    def read(self, index: int) -> bytes:
        """The image's bytes."""
        member = self._images[index]
        return _read(self._shards[member.shard], member)

    def size(self, index: int) -> int:
        """The image's length."""
        return self._images[index].size

    @property
    def place(self) -> str:
        """The shards' pattern and the extension of the images."""
        return f"shards {os.path.abspath(self._pattern)} {self._image}"

    def stamps(self, indices: Sequence[int]) -> list[bytes | None]:
        """The shard's stamp with the member's position in it."""
        of_shard = {shard: file_stamp(self._shards[shard]) for shard in {self._images[i].shard for i in indices}}
        return [_stamp(of_shard[member.shard], member) for member in (self._images[index] for index in indices)]


def expand_shards(pattern: str) -> list[Path]:
    """`val-{0..2}.tar` -> three paths; then globs, sorted.

    Raises:
        TaskError: a path does not exist, or a glob matches nothing.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise TaskError(f"shards {pattern[:60]}...: found {len(pattern)} letters, expected at most {_LONGEST_PATTERN}")
    if (count := num_expansions(pattern)) > _MOST_SHARDS:
        raise TaskError(f"shards {pattern}: expected at most {_MOST_SHARDS} files, found {count}; correct the range")
    paths: list[Path] = []
    for expanded in expand_braces(pattern):
        found = sorted(glob.glob(expanded)) if glob.has_magic(expanded) else [expanded]
        missing = [path for path in found if not os.path.isfile(path)]
        if missing or not found:
            raise TaskError(f"shards {pattern}: no file at {(missing or [expanded])[0]}; correct the path or the range")
        paths += map(Path, found)
    return paths


def _members(
    number: int, shard: Path, extensions: tuple[str, ...], label: str
) -> tuple[dict[str, _Member], dict[str, bytes], list[str]]:
    """A shard's images and its labels' bytes, by key, and all extensions seen."""
    images: dict[str, _Member] = {}
    labels: dict[str, bytes] = {}
    seen: set[str] = set()
    try:
        with _unpacked(shard) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for info in archive:
                folder, _, file = info.name.rpartition("/")
                stem, _, extension = file.partition(".")
                if not info.isreg() or file.startswith(".") or folder.startswith("__MACOSX"):
                    continue
                if info.sparse is not None or (info.isreg() and info.type == tarfile.GNUTYPE_SPARSE):
                    raise TaskError(f"{shard}: {info.name!a} is a sparse file; pack the shard without --sparse")
                seen.add("." + extension.lower())
                key = f"{folder}/{stem}" if folder else stem
                is_label = extension.lower() == label
                if not is_label and extension.lower() not in extensions:
                    continue
                known = images.get(key)
                if key in labels if is_label else known is not None and known.extension == extension.lower():
                    raise TaskError(f"{shard}: two files {key}.{extension}; expected one image and one label per key")
                if is_label:
                    labels[key] = _label(shard, archive, info)
                elif known is None or extensions.index(extension.lower()) < extensions.index(known.extension):
                    images[key] = _Member(number, info.offset_data, info.size, extension.lower())
            prove_end(shard, archive.offset, unpacked)
    except TaskError:
        raise
    # ValueError, OverflowError: headers with numbers that are none, or larger than any file
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        raise TaskError(f"{shard}: not a whole tar or tar.gz file ({error}); copy it again") from error
    return images, labels, sorted(seen)


def _stamp(of_shard: bytes | None, member: _Member) -> bytes | None:
    return None if of_shard is None else stamp_of(of_shard, f"{member.offset}|{member.size}".encode())


def _label(shard: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    """A label's bytes, read while walking the headers, so that the shard is opened once for all labels."""
    if info.size > _MOST_OF_A_LABEL:
        raise TaskError(f"{shard}: {info.name!a} has {info.size} bytes, expected a label of at most {_MOST_OF_A_LABEL}")
    file = archive.extractfile(info)
    return b"" if file is None else file.read()


@contextmanager
def _unpacked(shard: Path) -> Iterator[IO[bytes]]:
    """The tar's bytes in a row, whether or not it is compressed by gzip; opens the shard once."""
    with shard.open("rb") as file:
        if file.peek(len(BEGINNING)).startswith(BEGINNING):
            raise TaskError(told(shard, "the images"))
        if is_gzip(file):
            with gzip.open(file) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield file


def _read(shard: Path, member: _Member) -> bytes:
    """One member's bytes; reopens the shard, so that threads and thousands of shards do not share handles."""
    with shard.open("rb") as file:
        if not is_gzip(file):
            file.seek(member.offset)
            return file.read(member.size)
    try:
        return read_span(shard, member.offset, member.size)
    except (EOFError, zlib.error) as error:
        raise OSError(f"damaged gzip: {error}") from error
