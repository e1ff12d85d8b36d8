"""Where Ray Train and Ray Tune write their own state: into their process's memory.

They insist on a storage, and nobody reads what they write: a sweep resumes from its record. On the sweep's storage each
of their writes could halt the sweep while the storage refuses, would take pyarrow's way to credentials and regions
beside our own, and had to be deleted in the end. fsspec is among what Ray's extras `tune` and `train` require.
"""

from typing import Any

from fsspec.implementations.memory import MemoryFileSystem
from pyarrow.fs import FSSpecHandler, PyFileSystem

IN_MEMORY: Any = PyFileSystem(FSSpecHandler(MemoryFileSystem()))
"""A file system for `storage_filesystem`; what is sent to another process is that process's."""
