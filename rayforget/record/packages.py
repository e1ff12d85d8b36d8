"""The packages whose extensions a sweep was made with, as its record has them, beside those that are installed here."""

from collections.abc import Iterator, Mapping
from typing import Any

from rayforget.extensions.use import used_extensions, used_sources
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


def changed_extensions(provenance: Mapping[str, Any], group: str | None = None) -> list[str]:
    """A sentence on each package of which extensions are in use here in another version than a sweep of this provenance
    began with, or in the same version from another source; only extensions of the group, if one is given.

    `rayforget-huber 1.2 has another source now than when the sweep began (path 'bow' and penalty 'huber')`
    """
    now, sources = used_extensions(), used_sources()
    found: dict[str, list[str]] = {}
    for its_group, name, before in _recorded(provenance):
        after = now.get(its_group, {}).get(name)
        if after is None or group not in (None, its_group):
            continue
        what = f"{REGISTRIES[its_group].noun} {name!r}" if its_group in REGISTRIES else name
        if after != before:
            found.setdefault(f"{before} was in use when the sweep began, and {after} is now", []).append(what)
        elif _source(provenance, its_group, name) not in (None, sources.get(its_group, {}).get(name)):
            found.setdefault(f"{after} has another source now than when the sweep began", []).append(what)
    return [f"{change} ({_listed(names)})" for change, names in found.items()]


def _listed(names: list[str]) -> str:
    *others, last = sorted(names)
    return f"{', '.join(others)} and {last}" if others else last


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
