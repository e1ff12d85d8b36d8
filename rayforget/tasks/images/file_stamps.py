"""A file's path, size, times and inode -> a stamp: while it stays the same, so do the file's bytes.

The rule is git's for its index (Documentation/technical/racy-git): a file that was changed a moment ago may be changed
again without its time being another, so such a file has no stamp. The time of the last change of the inode (ctime) is
part of it: tools that set a file's modification time back cannot set that one.
"""

import hashlib
import os
import time
from pathlib import Path

STAMP_BYTES = 16
RACY_S = 2.0
"""Coarsest time stamps of a file system (FAT's): two changes closer than that may look like one."""


def file_stamp(path: str | Path) -> bytes | None:
    """16 bytes; None where the file is too young, or not there at all.

    Take it before the file is read: what changes it in between shows in the next stamp.
    """
    now = time.time_ns()
    try:
        found = os.stat(path)
    except OSError:
        return None  # whoever reads it says what is wrong
    if max(found.st_mtime_ns, found.st_ctime_ns) > now - int(RACY_S * 1e9):
        return None
    numbers = f"{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns}|{found.st_ino}"
    return stamp_of(os.fsencode(os.path.abspath(path)), numbers.encode())


def stamp_of(*parts: bytes) -> bytes:
    """One stamp of several parts: a file's stamp and a place in it, for example."""
    digest = hashlib.blake2b(digest_size=STAMP_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
