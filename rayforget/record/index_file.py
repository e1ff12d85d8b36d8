"""What was derived from one sweep's record, in a file of the cache: the record alone is the truth, and this may go."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from rayforget.record.provenance import code_version
from rayforget.record.storage.store import Store


class IndexFile:
    """One file of a sweep, beside a local storage's sweeps or in the user's home."""

    def __init__(self, store: Store, kind: str, *, layout: int) -> None:
        """Reads nothing yet.

        Args:
            store: the sweep's folder.
            kind: the file's suffix, by which the files of one sweep differ.
            layout: number of the content's layout; files of another, or of another version of the code, count as none.
        """
        root = (
            Path(os.path.expanduser("~"), ".cache", "rayforget")
            if store.local is None
            else store.local.parent / "cache"
        )
        self.path = root / "index" / f"{hashlib.sha256(store.location.encode()).hexdigest()[:24]}.{kind}"
        self._layout = layout

    def load(self) -> bytes | None:
        """The content; None if there is none that this version wrote and that is whole."""
        try:
            checksum, _, content = self.path.read_bytes().partition(b"\n")
        except OSError:
            return None
        return content if checksum == checksum_of(content, self._layout) else None

    def save(self, content: bytes) -> None:
        """Replaces it; where the disk refuses there is none, which only costs time."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".writing-", delete=False) as stream:
                try:
                    stream.write(checksum_of(content, self._layout) + b"\n" + content)
                    stream.flush()
                    os.replace(stream.name, self.path)
                except OSError:
                    os.unlink(stream.name)
                    raise

    def remove(self) -> None:
        """Deletes it, if there is one and the disk allows it."""
        with suppress(OSError):
            self.path.unlink()


def checksum_of(content: bytes, layout: int) -> bytes:
    """Covers the content, its layout's number, and the version of the code that made it of the record."""
    found = hashlib.sha256(b"%d %s " % (layout, code_version().encode()))
    found.update(content)
    return found.hexdigest().encode()
