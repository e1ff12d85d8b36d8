"""A name in a space -> the object of that name: one of ours, or an entry point of another package.

Nothing is imported before a space names it, so that a broken package breaks only the spaces that ask for it. A package
announces its extensions in its pyproject.toml:

    [project.entry-points."rayforget.penalties"]
    huber = "my_package.huber:HuberPenalty"
"""

import difflib
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Generic, TypeVar, cast

from rayforget.errors import ExtensionError

T = TypeVar("T")

_used: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension(Generic[T]):
    """An extension and the package that brings it."""

    value: T
    package: str | None = None
    """The distribution that brings it; None for rayforget's own."""
    version: str | None = None
    source: str | None = None
    """12 hex digits of its module's source: one that is being written changes under one version. None for our own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registry(Generic[T]):
    """One kind of extension: rayforget's own, by module path, and others', by entry points of installed packages."""

    group: str
    """The entry points' group, e.g. `rayforget.penalties`."""
    noun: str
    """What messages call one: `penalty`."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Name -> `module:attribute`."""

    def names(self) -> tuple[str, ...]:
        """Every valid name, rayforget's own first; imports none of them."""
        return (*self.own, *sorted({point.name for point in self._points()} - self.own.keys()))

    def find(self, name: str) -> Extension[T]:
        """Imports the extension of this name.

        Raises:
            ExtensionError: there is no such name, two packages claim it, or its package cannot be imported; one line,
                whatever the cause.
        """
        claims = [point for point in self._points() if point.name == name]
        if name in self.own:
            if claims:
                raise ExtensionError(
                    f"{name} is rayforget's own {self.noun}, and {_packages(claims)} brings another of that name; "
                    "uninstall it, or have it renamed"
                )
            module, _, attribute = self.own[name].partition(":")
            return Extension(value=cast(T, getattr(import_module(module), attribute)))
        if not claims:
            raise ExtensionError(f"there is no {self.noun} {name!r} here{self._hint(name)}")
        if len(claims) > 1:
            raise ExtensionError(f"{_packages(claims)} each bring a {self.noun} {name!r}; uninstall all but one")
        return self._load(claims[0])

    def _load(self, point: EntryPoint) -> Extension[T]:
        package, version = _package(point), point.dist.version if point.dist else None
        try:
            value: T = point.load()
        except Exception as error:  # third-party code may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            whose = f" of package {package}" if package else ""
            raise ExtensionError(
                f"{self.noun} {point.name!r}{whose} cannot be imported ({reason}); mend or uninstall it"
            ) from error
        _used.setdefault(self.group, {})[point.name] = f"{package} {version or ''}".strip()
        return Extension(value=value, package=package, version=version, source=_source_hash(point.module))

    def _points(self) -> list[EntryPoint]:
        """One entry point per package: a distribution found twice on the path counts once."""
        found = _installed(self.group, tuple(sys.path))
        return list({(point.name, _package(point)): point for point in found}.values())

    def _hint(self, name: str) -> str:
        names = self.names()
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {close[0]}? If not, a" if close else "; a"
        return f" (there are: {', '.join(names)}){meant} package that brings it must be installed on each node"


@lru_cache(maxsize=16)
def _installed(group: str, path: tuple[str, ...]) -> EntryPoints:
    """The entry points announced in the folders of this path; cached, since reading takes some hundred small files."""
    return entry_points(group=group)


def used_extensions() -> dict[str, dict[str, str]]:
    """Group -> name -> `package version` of the other packages' extensions that this process has imported."""
    return {group: dict(names) for group, names in sorted(_used.items())}


def _source_hash(module: str) -> str | None:
    """Hash of an imported module's file; None if it has none that can be read."""
    file = getattr(sys.modules.get(module), "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else None
    except OSError:
        return None


def _packages(points: list[EntryPoint]) -> str:
    return " and ".join(sorted(_package(point) for point in points))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value.partition(":")[0]
