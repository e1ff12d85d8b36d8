"""Other packages' extensions that this process has imported: what a record says of them, and which of them failed."""

import hashlib
import sys
import traceback
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rayforget.errors import BrokenExtensionError, RayforgetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """An imported extension."""

    group: str
    name: str
    called: str
    """`penalty 'huber' of package rayforget-huber`"""
    package: str
    version: str | None
    source: str | None
    """Hash of its source; None if it cannot be read."""
    module: str
    value: object


_used: dict[tuple[str, str], Used] = {}
_makers: dict[int, tuple["weakref.ref[object]", Used]] = {}
"""Id of an object that an extension made -> that object, while it lives, and the extension."""


def note_use(
    group: str, name: str, *, called: str, package: str, version: str | None, module: str, value: object
) -> Used:
    """Remembers an import, with the source and the version as they were when it was imported first."""
    known = _used.get((group, name))
    if known is None or known.value is not value:
        known = Used(
            group=group,
            name=name,
            called=called,
            package=package,
            version=version,
            source=_source_hash(module),
            module=module,
            value=value,
        )
        _used[group, name] = known
    return known


def known_use(group: str, name: str) -> Used | None:
    """The extension of this name, if this process has imported it."""
    return _used.get((group, name))


def note_made(value: object, group: str, name: str) -> None:
    """Remembers which extension made an object, so that an error in its methods is laid at that one's door: two of one
    package may have their code in one file."""
    if (used := _used.get((group, name))) is not None:
        key = id(value)
        _makers[key] = (weakref.ref(value, lambda _: _makers.pop(key, None)), used)


def used_extensions() -> dict[str, dict[str, str]]:
    """Group -> name -> `package version` of the other packages' extensions that this process has imported."""
    found: dict[str, dict[str, str]] = {}
    for (group, name), used in sorted(_used.items()):
        found.setdefault(group, {})[name] = f"{used.package} {used.version or ''}".strip()
    return found


def used_sources() -> dict[str, dict[str, str]]:
    """Group -> name -> hash of the source of each of them that can be read."""
    found: dict[str, dict[str, str]] = {}
    for (group, name), used in sorted(_used.items()):
        if used.source is not None:
            found.setdefault(group, {})[name] = used.source
    return found


def _source_hash(module: str) -> str | None:
    """Hash of an imported module's file, of all files of the package that it is in; None if they cannot be read."""
    root = sys.modules.get(module.partition(".")[0])
    folders = [Path(folder) for folder in getattr(root, "__path__", ())]
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    try:
        if not folders:
            return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
        digest = hashlib.sha256()
        for folder in folders:
            for path in sorted(folder.rglob("*.py")):
                digest.update(f"{path.relative_to(folder).as_posix()}|{path.stat().st_size}|".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()[:12]
    except OSError:
        return None


def blame(error: BaseException) -> str | None:
    """An error that came through another package's extension, in one line; None if it did not, or speaks for itself.

    The line names the extension, its function that rayforget called, the error, and the place in the package's source:
    `penalty 'huber' of package rayforget-huber failed in after_step: KeyError: 'w' (rayforget_huber.py:47)`.
    """
    if isinstance(error, RayforgetError):
        return None
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _of(frame)]
    if not frames:
        return None
    called, (last, line) = frames[0][0], frames[-1]
    reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    place = f"{Path(last.f_code.co_filename).name}:{line}"
    return f"{_name(called, _of(called))} failed in {called.f_code.co_name}: {reason} ({place})"


@contextmanager
def naming_the_blamed() -> Iterator[None]:
    """Turns an error that came through another package's extension into one that says so.

    Raises:
        BrokenExtensionError: in the place of such an error; every other one passes as it is.
    """
    try:
        yield
    except Exception as error:
        if (text := blame(error)) is None:
            raise
        raise BrokenExtensionError(text) from error


def in_a_line(error: BaseException) -> str:
    """An error as one line for people: what `blame` says of it, else its type and its text."""
    return blame(error) or " ".join(f"{type(error).__name__}: {error}".split())


def _of(frame: FrameType) -> list[Used]:
    """The extensions of the package that the frame's code belongs to."""
    root = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return [used for used in _used.values() if used.module.partition(".")[0] == root]


def _name(frame: FrameType, candidates: Sequence[Used]) -> str:
    """Which of a package's extensions the frame belongs to; only the package if several may be meant."""
    owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
    made, used = _makers.get(id(owner), (None, None))
    if made is not None and used is not None and made() is owner:
        return used.called
    kind = owner if isinstance(owner, type) else type(owner)
    for chosen in (
        [used for used in candidates if used.value is kind],
        [used for used in candidates if used.value in kind.__mro__],
        [used for used in candidates if used.module == frame.f_globals.get("__name__")],
        candidates,
    ):
        if len(chosen) == 1:
            return chosen[0].called
    return f"package {candidates[0].package}"
