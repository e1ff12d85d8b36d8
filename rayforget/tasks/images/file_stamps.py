"""A file's path, size, times and inode -> a stamp: as long as it stays the same, so do the file's bytes.

The rule is that of git's index (Documentation/technical/racy-git): a file that was changed a moment ago may change
again without a change of its time, so such a file has no stamp. The inode's change time (ctime) is part of the stamp:
tools that set back a file's modification time cannot set that one.
"""

import hashlib
import os
import time
from pathlib import Path

STAMP_BYTES = 16
RACY_S = 2.0
"""Resolution of the coarsest file systems' time stamps (FAT's): two changes closer than that may look like one."""


def file_stamp(path: str | Path) -> bytes | None:
    """16 bytes; None if the file is too young or missing.

    Take it before reading the file: a change in between then shows in the next stamp.
    """
    now = time.time_ns()
    try:
        found = os.stat(path)
    except OSError:
        return None  # reading it will say what is wrong
    if max(found.st_mtime_ns, found.st_ctime_ns) > now - int(RACY_S * 1e9):
        return None
    numbers = f"{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns}|{found.st_ino}"
    return stamp_of(os.fsencode(os.path.abspath(path)), numbers.encode())


def stamp_of(*parts: bytes) -> bytes:
    """One stamp of several parts, e.g. a file's stamp and a position in the file."""
    digest = hashlib.blake2b(digest_size=STAMP_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
