"""A tar archive, read to its last header -> proof that this is its end, as the archive says itself.

Python's tarfile takes a header of zeros, or one that is damaged, for the end and says nothing; what follows is lost.
POSIX ends an archive by blocks of zeros, and nothing but zeros comes after them.
"""

from pathlib import Path
from typing import IO

from rayforget.errors import TaskError

_BLOCK = 512
_CHUNK = 2**20


def prove_end(archive: Path, end: int, file: IO[bytes]) -> None:
    """Refuses an archive that goes on after what was taken for its end, or stops before its end mark.

    Args:
        archive: the shard, for messages.
        end: where the header after the last member would begin.
        file: the tar's bytes, uncompressed.

    Raises:
        TaskError: the archive is damaged there, cut off, or has another one appended.
    """
    file.seek(end)
    mark = file.read(_BLOCK)
    if any(mark):
        raise TaskError(f"{archive}: the header at byte {end} is damaged; copy the shard again")
    if len(mark) < _BLOCK:
        raise TaskError(
            f"{archive}: found {end + len(mark)} bytes and no end mark (a block of zeros); the shard was cut off: "
            "copy it again"
        )
    place = end + _BLOCK
    while chunk := file.read(_CHUNK):
        if any(chunk):
            raise TaskError(
                f"{archive}: a header of zeros at byte {end}, and more data after byte {place}; the shard is "
                "damaged, or another was appended: copy it again, or give both their own files"
            )
        place += len(chunk)
