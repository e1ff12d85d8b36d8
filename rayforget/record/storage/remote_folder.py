"""A folder in an object store (S3, GCS, Azure): an object appears whole when its upload is complete, or not at all."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import obstore as obs
from obstore.store import MemoryStore

from rayforget.record.storage.folder import Entry, IsOwn, Writer
from rayforget.record.storage.server_errors import NoConditionsError, OtherVersionError, ServerError, server_errors

if TYPE_CHECKING:
    from obstore import UpdateVersion, WritableFile
    from obstore.store import ObjectStore

_PART_BYTES = 32 * 2**20
"""Size of a part of an upload, of which S3 allows 10000, and of a piece of a download."""
_UPLOADS = 4
"""Parts uploaded at a time."""
_COPY_BYTES = 8 * 2**20
_NO_CONDITIONS = 501


class RemoteFolder:
    """See `Folder`; also has conditional writes (`swap`), on which a lock can be built.

    A folder exists while an object lies below it. pyarrow, with which Ray writes, also marks folders by empty objects
    whose names end in `/`: these are no files, and are deleted with their folder.
    """

    local: Path | None = None

    def __init__(self, objects: "ObjectStore", root: str, bucket_uri: str, query: str = "") -> None:
        self.objects = objects
        self.root = root.strip("/")
        self._bucket_uri = bucket_uri
        self._query = query

    @property
    def location(self) -> str:
        """The URI, with the keys and the query by which it was opened."""
        return f"{self._bucket_uri}/{self.root}".rstrip("/") + (f"?{self._query}" if self._query else "")

    def __str__(self) -> str:
        scheme, _, host = self._bucket_uri.partition("://")
        user, at, bucket = host.rpartition("@")
        named = scheme.startswith("abfs") and ":" not in user  # Azure's container, no key
        return f"{scheme}://{f'{user}{at}' if named else ''}{bucket}/{self.root}".rstrip("/")

    def within(self, path: str) -> "RemoteFolder":
        """The folder at this path."""
        return RemoteFolder(self.objects, self._key(path), self._bucket_uri, self._query)

    def look(self, path: str) -> Entry | None:
        """The object at this path, or else the folder."""
        key = self._key(path)
        name = key.rpartition("/")[2]
        if key and (size := self._object_size(key)) is not None:
            return Entry(name=name, size=size)
        with server_errors():
            for batch in obs.list(self.objects, prefix=key or None):
                # A marker is listed without its `/`, as an empty object that cannot be found.
                if any(meta["size"] or self._object_size(meta["path"]) is not None for meta in batch):
                    return Entry(name=name, size=None)
        return None

    def children(self, path: str) -> list[Entry]:
        """Includes folders that hold only a marker."""
        key = self._key(path)
        with server_errors():
            found = obs.list_with_delimiter(self.objects, prefix=key or None)
        folders = [Entry(name=prefix.rpartition("/")[2], size=None) for prefix in found["common_prefixes"]]
        objects = [meta for meta in found["objects"] if meta["path"] != key]  # that one is the folder's own marker
        return folders + [_entry(meta) for meta in objects]

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yields a part at a time, all of the same version of the object."""
        key, start = self._key(path), 0
        with server_errors():
            first = obs.get(self.objects, key)
            size, etag = first.meta["size"], first.meta["e_tag"]
            if size <= _PART_BYTES:
                yield bytes(first.bytes())
                return
            del first
            while start < size:
                end = min(start + _PART_BYTES, size)
                part = obs.get(self.objects, key, options={"range": (start, end), "if_match": etag})
                yield bytes(part.bytes())
                start = end

    def replace(self, path: str, writer: Writer) -> None:
        """Uploads in parts while the writer writes; if it raises, the upload is aborted and the old object stays."""
        with (
            server_errors(),
            obs.open_writer(self.objects, self._key(path), buffer_size=_PART_BYTES, max_concurrency=_UPLOADS) as stream,
        ):
            writer(cast(BinaryIO, _Copying(stream)))

    def create(self, path: str, data: bytes) -> bool:
        """Creates and checks in one step; without conditional writes it looks first, and two writers at once may both
        write."""
        key = self._key(path)
        try:
            return self.swap(path, data, None) is not None
        except NoConditionsError:
            if self._object_size(key) is not None:
                return False
            with server_errors():
                obs.put(self.objects, key, data)
            return True

    def delete(self, path: str) -> None:
        """Deletes a folder's objects in batches."""
        key = self._key(path)
        marked = False
        with server_errors():
            if key and self._object_size(key) is not None:
                obs.delete(self.objects, key)
            for batch in obs.list(self.objects, prefix=key or None):
                paths = [meta["path"] for meta in batch]
                obs.delete(self.objects, paths)
                marked = marked or any(meta["size"] == 0 for meta in batch)
        if marked:
            self._delete_markers(key)

    def is_link(self, path: str) -> bool:
        """There are none."""
        return False

    def delete_own(self, is_own: IsOwn) -> list[str]:
        """Names every unknown object; markers of folders go with the last object."""
        start = len(f"{self.root}/") if self.root else 0
        left = []
        with server_errors():
            for batch in obs.list(self.objects, prefix=self.root or None):
                known = [meta["path"] for meta in batch if is_own(meta["path"][start:])]
                obs.delete(self.objects, known)
                others = [meta for meta in batch if not is_own(meta["path"][start:])]
                left += [meta["path"] for meta in others if meta["size"] or self._object_size(meta["path"]) is not None]
        if not left:
            self.delete("")
        return sorted(path[start:] for path in left)

    def delete_unfinished(self) -> None:
        """Nothing to do: a killed writer's upload is no object, and the bucket's own rules clear it away."""

    def version(self, path: str) -> "tuple[bytes, UpdateVersion] | None":
        """An object, with what `swap` needs to replace exactly this version of it; None if there is none."""
        try:
            with server_errors():
                found = obs.get(self.objects, self._key(path))
                return bytes(found.bytes()), _version(found.meta["e_tag"], found.meta["version"])
        except FileNotFoundError:
            return None

    def swap(self, path: str, data: bytes, expected: "UpdateVersion | None") -> "UpdateVersion | None":
        """Writes an object if its version is still the expected one (None: if there is none); otherwise returns None.

        Raises:
            NoConditionsError: the server refuses conditional writes.
        """
        try:
            with server_errors():
                put = obs.put(self.objects, self._key(path), data, mode="create" if expected is None else expected)
        except (FileExistsError, OtherVersionError):
            return None
        except FileNotFoundError:  # also the answer if there is no such bucket
            if expected is None:
                raise
            return None
        except ServerError as error:
            if error.status == _NO_CONDITIONS:
                raise NoConditionsError(str(error)) from error
            raise
        return _version(put["e_tag"], put["version"])

    def _key(self, path: str) -> str:
        return f"{self.root}/{path}".strip("/")

    def _object_size(self, key: str) -> int | None:
        try:
            with server_errors():
                return obs.head(self.objects, key)["size"]
        except FileNotFoundError:
            return None

    def _delete_markers(self, key: str) -> None:
        """Uses pyarrow, which made them: obstore cannot name objects whose names end in `/`."""
        from pyarrow import fs

        if isinstance(self.objects, MemoryStore):  # nobody else writes there
            return
        filesystem, path = fs.FileSystem.from_uri(
            RemoteFolder(self.objects, key, self._bucket_uri, self._query).location
        )
        if filesystem.get_file_info(path).type == fs.FileType.Directory:
            filesystem.delete_dir(path)


def _entry(meta: Mapping[str, Any]) -> Entry:
    """An object as a server lists it; its e-tag tells versions apart."""
    return Entry(name=meta["path"].rpartition("/")[2], size=meta["size"], stamp=meta.get("e_tag"))


class _Copying:
    """Copies what is written before passing it to obstore, which keeps the given memory: torch.save reuses its own."""

    def __init__(self, stream: "WritableFile") -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        """Passes on copies, only some parts of a large tensor at a time."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _COPY_BYTES):
            self._stream.write(bytes(view[start : start + _COPY_BYTES]))
        return len(view)

    def flush(self) -> None:
        """Does nothing: the end of the upload flushes."""


def _version(e_tag: str | None, version: str | None) -> "UpdateVersion":
    """S3 distinguishes versions by e-tag, GCS by number."""
    found: dict[str, str | None] = {"e_tag": e_tag, "version": version}
    return cast("UpdateVersion", {name: value for name, value in found.items() if value is not None})
