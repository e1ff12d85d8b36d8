"""YAML text -> plain values and the line of each of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rayforget.errors import SpaceError

At = tuple[str | int, ...]
"""Keys from the top of the file down to a value; an item of a list goes by its `kind` if it has one."""

_MOST_NESTED = 50
"""Depth of nested lists and mappings; no space needs 10, and pydantic reads at most 200."""
MOST_CHARACTERS = 2_000_000
"""Largest space file, and the most that its values may amount to with every alias written out."""
_VALUE_COSTS = 40
"""Characters that a value counts for at least: fifty thousand values are enough for any space."""
_MOST_DIGITS = 100
"""Longest number; Python refuses to print those of more than 4,300 digits."""
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": re.compile(r"(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
}
"""YAML 1.2's core schema. PyYAML uses 1.1's, where 1e-3 is a string, `no` is false and 1:30 is ninety."""


_TOO_NESTED = f"found lists or mappings nested deeper than {_MOST_NESTED}; write them flatter"


def shortened(text: str, length: int = 60) -> str:
    """A text as a literal, without line breaks and control characters, cut if it is long."""
    return ascii(text if len(text) <= length else f"{text[:length]}...")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {None: [(_TAG + name, pattern) for name, pattern in _SCALARS.items()]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The values of a space file and their places."""

    tree: Mapping[str, Any]
    """Dicts, lists, strings, numbers, booleans and None."""
    places: Mapping[At, str]
    """`FILE:LINE` of every key and item, or the `--set` option that gave it."""

    def where(self, at: At) -> str:
        """Place of the key, or of its nearest existing parent."""
        while at and at not in self.places:
            at = at[:-1]
        return self.places[at]


def item_key(index: int, item: Any) -> str | int:
    """The key under which an item of a list is placed."""
    kind = item.get("kind") if isinstance(item, dict) else None
    return kind if isinstance(kind, str) else index


def dotted(at: At) -> str:
    """The keys as people write them: `methods.lora.adapter.rank`."""
    return ".".join(str(key) for key in at)


def read_document(text: str, name: str) -> Document:
    """Reads the text of a file of that name; raises SpaceError if it is not YAML, or not a mapping of keys."""
    places: dict[At, str] = {(): f"{name}:1"}
    tree = read_yaml(text, name, places)
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else repr(tree)
        raise SpaceError(f"{name}:1: found {found}; a space file is a mapping of keys")
    return Document(tree=tree, places=places)


def read_yaml(text: str, name: str, places: dict[At, str] | None = None) -> Any:
    """One YAML document as plain values; fills `places`, if given, with their lines."""
    if len(text) > MOST_CHARACTERS:
        raise SpaceError(f"{name}: found {len(text)} characters, expected at most {MOST_CHARACTERS}; is it a space?")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpaceError(f"{name}:{line}: not YAML: {error.problem}; mind indentation, quotes and brackets") from None
    except RecursionError:
        raise SpaceError(f"{name}: {_TOO_NESTED}") from None
    except yaml.YAMLError as error:
        raise SpaceError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    reading = _Reading(name, {} if places is None else places, [MOST_CHARACTERS])
    return None if node is None else reading.value(node, (), ())


@dataclass(frozen=True, slots=True)
class _Reading:
    """The walk over one document's nodes."""

    name: str
    places: dict[At, str]
    room: list[int]
    """The characters that may yet come, in its one item."""

    def value(self, node: yaml.Node, at: At, above: tuple[yaml.Node, ...]) -> Any:
        """The node's plain value; `at` is its place, `above` the nodes that contain it."""
        if any(node is one for one in above):
            raise self.error(node, "found an alias that holds itself; write the value out")
        if len(above) > _MOST_NESTED:
            raise self.error(node, _TOO_NESTED)
        self.room[0] -= _VALUE_COSTS + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if self.room[0] < 0:
            text = f"found aliases (*name) that amount to more than {MOST_CHARACTERS} characters when written out"
            raise self.error(node, f"{text}; write fewer")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, at, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return self.sequence(node, at, (*above, node))
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, at: At, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        """Takes keys as text; a repeated key is an error, while PyYAML silently takes the last."""
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(key_node, "found a list or a mapping as a key; keys are text")
            key = self.text(key_node)
            if key == "<<" and key_node.style is None:
                raise self.error(key_node, "found a merge key (<<), which is not read; repeat the keys")
            if key in values:
                raise self.error(key_node, f"found {key} twice (first in line {lines[key]}); remove one of them")
            lines[key] = key_node.start_mark.line + 1
            self.places[(*at, key)] = self.line(key_node)
            values[key] = self.value(value_node, (*at, key), above)
        return values

    def sequence(self, node: yaml.SequenceNode, at: At, above: tuple[yaml.Node, ...]) -> list[Any]:
        """Every item, placed by its kind or its index."""
        values = []
        for index, item in enumerate(node.value):
            places: dict[At, str] = {}
            value = _Reading(self.name, places, self.room).value(item, (), above)
            here = (*at, item_key(index, value))
            self.places[here] = self.line(item)
            self.places.update({(*here, *inside): place for inside, place in places.items()})
            values.append(value)
        return values

    def scalar(self, node: yaml.Node) -> Any:
        """A string, number, boolean or None."""
        kind = node.tag.removeprefix(_TAG)
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[node.value.lower()]
                case "int" if len(node.value) > _MOST_DIGITS:
                    text = f"found a number of {len(node.value)} digits, expected at most {_MOST_DIGITS}"
                    raise self.error(node, f"{text}; write it shorter, or in quotes if it is a text")
                case "int":
                    return int(node.value, 0 if node.value.startswith(("0o", "0x")) else 10)
                case "float":
                    return float(re.sub(r"^([-+]?)\.(?=inf|nan)", r"\1", node.value.lower()))
                case "str":
                    return self.text(node)
        except SpaceError:
            raise
        except (KeyError, ValueError):
            found = node.value if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
            raise self.error(node, f"found {shortened(found)} tagged as {kind}, which it is not") from None
        raise self.error(node, f"found the tag {node.tag}; a space file has no tags: remove it")

    def text(self, node: yaml.Node) -> str:
        """A string that files' names, JSON and C can hold: without half a character (a lone surrogate) and NUL."""
        text = str(node.value)
        if "\0" in text:
            raise self.error(node, f"found a text with a character of number 0, {shortened(text)}; remove it")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self.error(
                node, f"found a text with half a character (a lone surrogate), {shortened(text)}; remove it"
            ) from None
        return text

    def line(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

    def error(self, node: yaml.Node, text: str) -> SpaceError:
        return SpaceError(f"{self.line(node)}: {text}")


def read_file(path: Path) -> str:
    """Text of a space file; raises SpaceError if there is none."""
    try:
        if (size := path.stat().st_size) > 4 * MOST_CHARACTERS:
            raise SpaceError(f"{path}: found {size} bytes, expected a space file of at most {4 * MOST_CHARACTERS}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpaceError(f"{path}: no such file; give the path of a space file") from None
    except SpaceError:
        raise
    except (OSError, ValueError) as error:  # also bytes that are no text, and a path with a NUL
        raise SpaceError(f"{path}: cannot be read as text ({error}); give the path of a space file") from None
