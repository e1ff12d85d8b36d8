"""A name in a space -> the object of that name: one of ours, or an entry point of another package.

Nothing is imported before a space names it, so that a broken package breaks only the spaces that ask for it. A package
announces its extensions in its pyproject.toml:

    [project.entry-points."rayforget.penalties"]
    huber = "my_package.huber:HuberPenalty"
"""

import difflib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from traceback import walk_tb
from types import FunctionType
from typing import Any, Generic, TypeVar, cast, get_args

from rayforget.errors import BrokenExtensionError, ExtensionError
from rayforget.extensions.use import known_use, note_use

T = TypeVar("T")

_MISSING = object()
_refuses_claims: ContextVar[bool] = ContextVar("refuses_claims", default=False)


@contextmanager
def refusing_claims() -> Iterator[None]:
    """While a user's words are read: a name of rayforget's own that another package claims too may mean either.

    In a record it can only mean rayforget's own, since no sweep is started with a name that may mean either.
    """
    token = _refuses_claims.set(True)
    try:
        yield
    finally:
        _refuses_claims.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension(Generic[T]):
    """An extension and the package that brings it."""

    value: T
    package: str | None = None
    """The distribution that brings it; None for rayforget's own."""
    version: str | None = None
    source: str | None = None
    """12 hex digits of its source: one that is being written changes under one version. None for our own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registry(Generic[T]):
    """One kind of extension: rayforget's own, by module path, and others', by entry points of installed packages."""

    group: str
    """The entry points' group, e.g. `rayforget.penalties`."""
    noun: str
    """What messages call one: `penalty`."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Name -> `module:attribute`."""
    base: str | None = None
    """The class that another package's extension must subclass, as `module:attribute`; None takes any object."""
    must: tuple[str, ...] = ()
    """What a subclass must bring of its own."""
    fault: Callable[[str, Any], str | None] = lambda name, value: None
    """What else is wrong with a subclass of this name, as the end of a sentence about it; None if nothing is."""

    def names(self) -> tuple[str, ...]:
        """Every valid name, rayforget's own first; imports none of them."""
        return (*self.own, *self.foreign())

    def foreign(self) -> tuple[str, ...]:
        """The names that other packages bring, sorted."""
        return tuple(sorted({point.name for point in self._points()} - self.own.keys()))

    def find(self, name: str, *, wanted: str | None = None) -> Extension[T]:
        """Imports the extension of this name; one of rayforget's own is never replaced by another package's.

        Args:
            name: the extension's name.
            wanted: the package that brought it when it was recorded, to be named where it is missing.

        Raises:
            ExtensionError: there is no such name, two packages claim it, its package cannot be imported, it is not what
                an extension of this kind must be, or, while `refusing_claims`, another package claims a name of
                rayforget's own; one line, whatever the cause.
        """
        claims = [point for point in self._points() if point.name == name]
        if name in self.own:
            if claims and _refuses_claims.get():
                raise ExtensionError(self._claimed(name, claims))
            return self.find_own(name)
        if not claims:
            missing = f"there is no {self.noun} {name!r} here"
            raise ExtensionError(f"{missing}{self._hint(name)}" if wanted is None else f"{missing}; install {wanted}")
        if len(claims) > 1:
            raise ExtensionError(f"{_packages(claims)} each bring a {self.noun} {name!r}; uninstall all but one")
        return self._load(claims[0])

    def find_own(self, name: str) -> Extension[T]:
        """Imports one of rayforget's own, whoever else claims its name."""
        module, _, attribute = self.own[name].partition(":")
        return Extension(value=cast(T, getattr(import_module(module), attribute)))

    def claims_on_ours(self) -> tuple[str, ...]:
        """A sentence on each of rayforget's own names that another package claims too."""
        found = self._points()
        claimed = {name: [point for point in found if point.name == name] for name in self.own}
        return tuple(self._claimed(name, points) for name, points in claimed.items() if points)

    def unknown(self, name: str) -> str:
        """What to say of a name that nothing has: `found "hubr"; did you mean huber? ...`."""
        names = self.names()
        close = difflib.get_close_matches(name, names, n=1)
        known = f"did you mean {close[0]}? If not, a" if close else f"known here: {', '.join(names)}; a"
        return f'found "{name}"; {known} {self._to_install()}'

    def called(self, name: str) -> str:
        """`penalty 'huber' of package rayforget-huber`, for messages."""
        if (used := known_use(self.group, name)) is not None:
            return used.called
        claims = [] if name in self.own else [point for point in self._points() if point.name == name]
        return f"{self.noun} {name!r}" + (f" of package {_packages(claims)}" if claims else "")

    def _load(self, point: EntryPoint) -> Extension[T]:
        # Read before the import: an uninstall may take the metadata away while this process goes on.
        called, package, version = self.called(point.name), _package(point), point.dist.version if point.dist else None
        try:
            value: T = point.load()
        except (Exception, SystemExit) as error:  # third-party code may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            at = _place_in(point.module, error)
            raise ExtensionError(f"{called} cannot be imported ({reason}{at}); mend or uninstall it") from error
        if (fault := self._fault_of(point.name, value)) is not None:
            raise BrokenExtensionError(f"{called} {fault}")
        used = note_use(
            self.group,
            point.name,
            called=called,
            package=package,
            version=version,
            module=point.module,
            value=value,
        )
        return Extension(value=value, package=used.package, version=used.version, source=used.source)

    def _fault_of(self, name: str, value: object) -> str | None:
        """What keeps an object from being an extension of this kind, as the end of a sentence about it."""
        if self.base is None:
            return None
        module, _, attribute = self.base.partition(":")
        base = getattr(import_module(module), attribute)
        if not isinstance(value, type) or base not in value.__mro__ or value is base:
            shown = value.__qualname__ if isinstance(value, type) else f"an object of type {type(value).__name__}"
            return f"is {shown}, which is no subclass of {module}.{attribute}; its class must extend that"
        for wanted in self.must:
            if getattr(value, wanted, _MISSING) is getattr(base, wanted, _MISSING):
                return f"has no `{wanted}`: {value.__qualname__} must define it (see {module}.{attribute})"
        return arguments_fault(value, base) or self.fault(name, value)

    def _points(self) -> list[EntryPoint]:
        """One entry point per package: a distribution found twice on the path counts once."""
        found = _installed(self.group, tuple(sys.path))
        return list({(point.name, _package(point)): point for point in found}.values())

    def _claimed(self, name: str, claims: list[EntryPoint]) -> str:
        return (
            f"{name} is rayforget's own {self.noun}, and {_packages(claims)} brings another of that name; "
            "uninstall it, or have it renamed"
        )

    def _hint(self, name: str) -> str:
        names = self.names()
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {close[0]}? If not, a" if close else "; a"
        return f" (there are: {', '.join(names)}){meant} {self._to_install()}"

    def _to_install(self) -> str:
        """What makes a name known, as the end of a sentence; entry points are read from what an install leaves."""
        return (
            f"package that brings it, as an entry point of {self.group}, must be installed on each node, and installed "
            "again once its entry points change, also where it is editable"
        )


def kind_fault(name: str, model: type[Any]) -> str | None:
    """What is wrong with the `kind` of a model that is found under a name; for a registry's `fault`."""
    annotation = model.model_fields["kind"].annotation
    if get_args(annotation) == (name,):
        return None
    kinds = " or ".join(repr(kind) for kind in get_args(annotation)) or getattr(annotation, "__name__", annotation)
    return f'has kind {kinds} and is registered as {name!r}; write kind: Literal["{name}"] in {model.__qualname__}'


def arguments_fault(value: type, base: type) -> str | None:
    """What is wrong with the arguments of a subclass's methods, which rayforget calls as the base's; None if nothing
    is."""
    for owner in base.__mro__:
        for name, method in vars(owner).items():
            own = inspect.getattr_static(value, name)
            called = owner.__module__.startswith("rayforget.") and not name.startswith("_")
            if not called or own is method or not isinstance(method, FunctionType) or not isinstance(own, FunctionType):
                continue
            expected = inspect.signature(method)
            kinds = expected.parameters.values()
            positional = [each for each in kinds if each.kind is not each.KEYWORD_ONLY]
            try:
                inspect.signature(own).bind(
                    *positional, **{each.name: None for each in kinds if each.kind is each.KEYWORD_ONLY}
                )
            except TypeError:
                return f"has {value.__qualname__}.{name}{_arguments(own)}; rayforget calls {name}{_arguments(method)}"
    return None


def no_arguments_fault(value: type) -> str | None:
    """What is wrong with a class that cannot be made without arguments; None if it can."""
    try:
        inspect.signature(value).bind()
    except TypeError as error:
        return f"cannot be made without arguments, as {value.__qualname__}() ({error})"
    return None


def _arguments(method: FunctionType) -> str:
    """`(self, *, lora)`"""
    given = inspect.signature(method).parameters.values()
    return str(inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in given]))


@lru_cache(maxsize=16)
def _installed(group: str, path: tuple[str, ...]) -> EntryPoints:
    """The entry points announced in the folders of this path; cached, since reading takes some hundred small files."""
    return entry_points(group=group)


def _place_in(module: str, error: BaseException) -> str:
    """` at my_module.py:47`: the last line of the module's package that an error passed; empty if it passed none."""
    root = module.partition(".")[0]
    passed = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == root
    ]
    return f" at {Path(passed[-1][0]).name}:{passed[-1][1]}" if passed else ""


def _packages(points: list[EntryPoint]) -> str:
    return " and ".join(sorted(_package(point) for point in points))


def _package(point: EntryPoint) -> str:
    return (point.dist.name if point.dist else None) or point.value.partition(":")[0]
