"""The packages whose extensions a sweep was made with, as its record has them, beside those that are installed here."""

from collections.abc import Iterator, Mapping
from typing import Any

from rayforget.extension_use import used_extensions, used_sources
from rayforget.space.registries import REGISTRIES


def missing_packages(provenance: Mapping[str, Any]) -> str | None:
    """What to install to use a sweep of this provenance, with the versions that it was made with; None if all is here.

    `rayforget-huber==1.2 (penalty 'huber')`
    """
    needed: dict[str, list[str]] = {}
    for group, name, package in _recorded(provenance):
        if group in REGISTRIES and name not in REGISTRIES[group].names():
            needed.setdefault(package.replace(" ", "=="), []).append(f"{REGISTRIES[group].noun} {name!r}")
    return " and ".join(f"{package} ({', '.join(names)})" for package, names in sorted(needed.items())) or None


def changed_extensions(provenance: Mapping[str, Any]) -> list[str]:
    """A sentence on each extension that is in use here in another version than a sweep of this provenance began with,
    or in the same version from another source."""
    now, sources = used_extensions(), used_sources()
    found = []
    for group, name, before in _recorded(provenance):
        after = now.get(group, {}).get(name)
        what = f"{REGISTRIES[group].noun} {name!r}" if group in REGISTRIES else name
        if after is None:
            continue
        if after != before:
            found.append(f"{what} was of {before} when the sweep began and is of {after} now")
        elif _source(provenance, group, name) not in (None, sources.get(group, {}).get(name)):
            found.append(f"{what} of {after} has another source now than when the sweep began")
    return found


def changed_since(provenance: Mapping[str, Any], penalties: set[str]) -> bool:
    """Whether an extension that a training used is now of another version or source; False if that is not recorded.

    Args:
        provenance: the training's.
        penalties: the kinds of its penalties; it used none of the space's others.
    """
    now, sources = used_extensions(), used_sources()
    for group, name, before in _recorded(provenance):
        after = now.get(group, {}).get(name)
        if after is None or (group == "rayforget.penalties" and name not in penalties):
            continue
        if after != before or _source(provenance, group, name) not in (None, sources.get(group, {}).get(name)):
            return True
    return False


def _recorded(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(group, name, `package version`) of each."""
    for group, names in provenance.get("extensions", {}).items():
        for name, package in names.items():
            yield group, name, package


def _source(provenance: Mapping[str, Any], group: str, name: str) -> str | None:
    found: str | None = provenance.get("extension_sources", {}).get(group, {}).get(name)
    return found
