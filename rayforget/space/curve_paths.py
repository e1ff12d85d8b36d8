"""A space's `curve.paths` -> the paths along which curves are scored: fixed ones, and ones fitted by an inner search.

    paths:
      lerp: {}                                     # the straight line; always there
      lines: {gamma: {grid: [0.1, 0.5]}}           # two paths, each scored on the whole coarse grid
      blocks:                                      # 8 evaluations for each checkpoint, chosen by an inner search
        leads: [0, {low: 0, high: 1}, {low: 0, high: 1}]
        search: {evaluations: 8}

A parameter, or an item of a list parameter, is a constant, a grid or a domain.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any

from pydantic import PositiveInt, ValidationError

from rayforget.errors import ExtensionError
from rayforget.extensions.registry import Registry
from rayforget.space.domains import ChoiceDomain, Domain, FloatDomain, IntDomain, Scalar
from rayforget.space.file.expected import found_and_expected
from rayforget.space.frozen import Frozen, Problem, invalid, thaw
from rayforget.space.path_text import LERP, path_text

PATHS: Registry[type[Frozen]] = Registry(
    group="rayforget.paths",
    noun="path",
    own={
        LERP: "rayforget.interpolate.paths.lerp:Lerp",
        "lines": "rayforget.interpolate.paths.lines:Lines",
        "blocks": "rayforget.interpolate.paths.blocks:Blocks",
    },
    base="rayforget.interpolate.paths.path:Path",
    must=("at",),
    fault=lambda name, path: _search_fault(path),
)
"""Name -> subclass of `rayforget.interpolate.paths.path.Path`, a frozen model whose fields are the parameters."""

SEARCH, GRID = "search", "grid"


def _search_fault(path: type[Frozen]) -> str | None:
    if SEARCH not in path.model_fields:
        return None
    return f"has a parameter `{SEARCH}`, which is the word for an inner search; give it another name"


At = tuple[str | int, ...]
"""Keys from a path's entry down to one of its values."""


class PathSearch(Frozen):
    """The number of evaluations that an inner search may spend on a path's domains."""

    evaluations: PositiveInt
    """Models scored on `val` for each checkpoint; each is a point. They cost evaluations, no trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedPath:
    """A path with parameters left to an inner search."""

    name: str
    tree: Mapping[str, Any]
    """Its parameters as written."""
    domains: Mapping[At, Domain]
    """The parameters to choose, by place in `tree`."""
    evaluations: int
    """Evaluations per checkpoint."""

    def text(self, values: Mapping[At, Scalar]) -> str:
        """The path with a value for every domain; raises ValidationError if it does not take one of them."""
        return _fixed(self.name, _filled(self.tree, values))

    @property
    def example(self) -> str:
        """The path with the first value of every domain."""
        return self.text({at: _ends(domain)[0] for at, domain in self.domains.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePaths:
    """The paths along which every checkpoint is scored."""

    fixed: tuple[str, ...]
    """Texts of the paths without a domain, the lerp first; each is scored on the whole coarse grid."""
    searched: tuple[SearchedPath, ...]


def curve_paths(written: Mapping[str, Mapping[str, Any]]) -> CurvePaths:
    """The paths of a checked `curve.paths`; a grid gives one path for each of its values."""
    fixed = []
    searched = []
    for name, entry in sorted(written.items(), key=lambda item: (item[0] != LERP, item[0])):
        tree = {key: value for key, value in entry.items() if key != SEARCH}
        domains, grids = dict(_domains(name, tree)), dict(_grids(tree, ()))
        if domains:
            evaluations = PathSearch.model_validate(entry[SEARCH]).evaluations
            searched.append(SearchedPath(name=name, tree=tree, domains=domains, evaluations=evaluations))
        else:
            combined = (dict(zip(grids, values, strict=True)) for values in product(*grids.values()))
            fixed += [_fixed(name, _filled(tree, values)) for values in combined]
    return CurvePaths(fixed=tuple(dict.fromkeys(fixed)), searched=tuple(searched))


def path_problems(written: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of `curve.paths`, at keys below it; loads only the paths that it names."""
    if LERP not in written:
        text = f"found {', '.join(written) or 'nothing'}; add `{LERP}: {{}}`, the line that every curve has"
        yield Problem(at=(), text=text)
    for name, entry in written.items():
        try:
            path = PATHS.find(name).value
        except ExtensionError as error:
            yield Problem(at=(name,), text=str(error))
            continue
        yield from (Problem(at=(name, *it.at), text=it.text) for it in _entry_problems(name, path, entry))


def _entry_problems(name: str, path: type[Frozen], entry: Mapping[str, Any]) -> Iterator[Problem]:
    tree = {key: value for key, value in entry.items() if key != SEARCH}
    try:
        domains, grids = dict(_domains(name, tree)), dict(_grids(tree, ()))
        if SEARCH in entry:
            PathSearch.model_validate_json(json.dumps(thaw(entry[SEARCH])), strict=True)
    except ValidationError as error:
        where: At = (SEARCH,) if error.title == PathSearch.__name__ else ()
        yield from _told(error, where)
        return
    if bool(domains) != (SEARCH in entry):
        found = f"has domains and no `{SEARCH}`" if domains else f"has a `{SEARCH}` and no domain to search"
        advice = f"write `{SEARCH}: {{evaluations: 8}}`, or a grid" if domains else "remove it, or write a domain"
        yield Problem(at=() if domains else (SEARCH,), text=f"{found}; {advice}")
    if domains and grids:
        yield Problem(at=next(iter(grids))[:1], text="is a grid beside a domain; write `choice` in the place of `grid`")
        return
    told: set[At] = set()
    for tree_of_constants in _extremes(tree, domains, grids):
        try:
            _fixed(name, tree_of_constants)
        except ValidationError as error:
            for problem in _told(error, (), known=(*path.model_fields, SEARCH)):
                if problem.at not in told:
                    told.add(problem.at)
                    yield problem


def _extremes(
    tree: Mapping[str, Any], domains: Mapping[At, Domain], grids: Mapping[At, tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """Constants that represent all: every value of a grid, both ends of every domain."""
    each = {**grids, **{at: _ends(domain) for at, domain in domains.items()}}
    first = {at: values[0] for at, values in each.items()}
    yield _filled(tree, first)
    for at, values in each.items():
        yield from (_filled(tree, {**first, at: value}) for value in values[1:])


def _ends(domain: Domain) -> tuple[Scalar, ...]:
    return domain.choice if isinstance(domain, ChoiceDomain) else (domain.low, domain.high)


def _told(error: ValidationError, where: At, known: Collection[str] = ()) -> Iterator[Problem]:
    for it in error.errors():
        text = it["msg"] if it["type"] == "problem" else found_and_expected(it)
        if it["type"] == "missing":
            text = f"is missing; add `{it['loc'][-1]}:`"
        elif it["type"] == "extra_forbidden":
            close = get_close_matches(str(it["loc"][-1]), known, n=1) if len(it["loc"]) == 1 else []
            there = ", ".join(name for name in known if name != SEARCH)
            instead = f"this path has {f'no such parameter (it has {there})' if there else 'no parameter'}: remove it"
            text = f"unknown key; {f'did you mean {close[0]}?' if close else instead}"
        yield Problem(at=(*where, *it["loc"]), text=text)


def _fixed(name: str, tree: Mapping[str, Any]) -> str:
    """The text of a path with these constants and its defaults; raises ValidationError if it does not take them."""
    path = PATHS.find(name).value.model_validate_json(json.dumps(thaw(tree)), strict=True)
    return path_text(name, path.model_dump(mode="json"))


def _grids(node: Any, at: At) -> Iterator[tuple[At, tuple[Any, ...]]]:
    """The grids in a tree, by place."""
    if isinstance(node, Mapping) and node.keys() == {GRID} and isinstance(node[GRID], list | tuple) and node[GRID]:
        yield at, tuple(node[GRID])
    else:
        for key, item in _items(node):
            yield from _grids(item, (*at, key))


def _domains(name: str, tree: Mapping[str, Any]) -> Iterator[tuple[At, Domain]]:
    """The domains in a tree, by place; raises ValidationError for an empty one."""
    fields = PATHS.find(name).value.model_fields
    for key, value in tree.items():
        whole = key in fields and "int" in str(fields[key].annotation) and "float" not in str(fields[key].annotation)
        yield from _domains_in(value, (key,), IntDomain if whole else FloatDomain)


def _domains_in(node: Any, at: At, number: type[FloatDomain | IntDomain]) -> Iterator[tuple[At, Domain]]:
    if isinstance(node, Mapping) and {"low", "high", "choice"} & node.keys():
        kind = ChoiceDomain if "choice" in node else number
        try:
            yield at, kind.model_validate_json(json.dumps(thaw(node)), strict=True)
        except ValidationError as error:
            raise invalid(kind.__name__, _told(error, at)) from None
    else:
        for key, item in _items(node):
            yield from _domains_in(item, (*at, key), number)


def _items(node: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(node, Mapping):
        yield from node.items()
    elif isinstance(node, list | tuple):
        yield from enumerate(node)


def _filled(node: Any, values: Mapping[At, Any], at: At = ()) -> Any:
    """The tree with these values at their places."""
    if at in values:
        return values[at]
    if isinstance(node, Mapping):
        return {key: _filled(item, values, (*at, key)) for key, item in node.items()}
    if isinstance(node, list | tuple):
        return [_filled(item, values, (*at, index)) for index, item in enumerate(node)]
    return node
