"""A recipe with some values left to choose: constants, and domains by their paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rayforget.errors import SpaceError
from rayforget.space.domains import Domain, Scalar
from rayforget.space.frozen import FrozenDict, thaw
from rayforget.space.recipe import Recipe

_NOTHING: FrozenDict[str, Scalar] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A recipe with some values left to choose."""

    name: str
    constants: FrozenDict[str, Any]
    """The decided values, nested as in Recipe; missing ones take Recipe's defaults."""
    domains: FrozenDict[str, Domain]
    """The values to choose, by path: `learning_rate`, `adapter.rank`, `penalties.l2.strength` (addressed by kind)."""

    def recipe(self, values: Mapping[str, Scalar] = _NOTHING, *, seed: int) -> Recipe:
        """The recipe with a value for every domain, by path; raises SpaceError if one is missing or outside."""
        if values.keys() != self.domains.keys():
            raise SpaceError(
                f"method {self.name}: found values for {_listed(values)}, expected one for each of "
                f"{_listed(self.domains)}; give exactly these"
            )
        tree = thaw(self.constants)
        for path, value in values.items():
            if not self.domains[path].contains(value):
                raise SpaceError(f"method {self.name}: {path} = {value!r} lies outside of {self.domains[path]!r}")
            _insert(tree, path, value)
        return Recipe.model_validate({**tree, "method": self.name, "seed": seed})


def _insert(tree: dict[str, Any], path: str, value: Scalar) -> None:
    *parents, last = path.split(".")
    node: Any = tree
    for key in parents:
        node = next(item for item in node if item["kind"] == key) if isinstance(node, list) else node[key]
    node[last] = value


def value_at(recipe: Mapping[str, Any], path: str) -> Any:
    """The value of a resolved recipe at a domain's path; raises KeyError if the recipe has no such place."""
    node: Any = recipe
    for key in path.split("."):
        node = next((item for item in node if item["kind"] == key), {}) if isinstance(node, list | tuple) else node[key]
    return node


def _listed(paths: Mapping[str, Any]) -> str:
    return ", ".join(sorted(paths)) or "nothing"
