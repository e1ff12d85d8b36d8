"""The location of a pydantic error -> its keys, and the model that they belong to."""

from collections.abc import Container, Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Tag
from pydantic.fields import FieldInfo

from rayforget.space.by_kind import ByKind
from rayforget.space.file.document import At, item_key
from rayforget.space.frozen import Frozen, FrozenDict
from rayforget.space.searchable import Tree


def locate(model: type[Frozen], location: Iterable[str | int], tree: Any) -> tuple[At, type[Frozen] | None]:
    """Keys of the error's place in `tree`, and the model whose field the last of them is (or should be).

    Besides the keys, pydantic's location contains the tag of every union on the way (`lora`, `<domain>`), and a list
    item's index where the space's own paths have its kind.
    """
    at: list[str | int] = []
    annotation: Any = model
    owner: type[Frozen] | None = None
    for element in location:
        annotation = _bare(annotation, tree)
        if element == "[key]":
            continue
        if members := _members(annotation):
            tagged = [member for member in members if element in _tags(member)]
            if tagged:
                annotation = tagged[0]
                continue
            annotation = next((one for one in map(_bare, members) if element in _fields(one)), None)
        if _is_model(annotation):
            owner = annotation
            annotation = _annotation(annotation.model_fields.get(element))
        else:
            annotation = _item(annotation)
        tree, key = _step(tree, element)
        at.append(key)
    return tuple(at), owner


def kinds(model: type[Frozen], at: At) -> list[str]:
    """The values that `kind` may have there: in the field at the end of `at`, or in an item of it."""
    key = next(key for key in reversed(at) if key in model.model_fields)
    annotation = _annotation(model.model_fields[str(key)])
    if by_kind := _named(annotation):
        return [*by_kind.registry.names()]
    annotation = _bare(annotation)
    annotation = annotation if _members(annotation) else _item(annotation)
    return [str(tag) for member in _members(_bare(annotation)) for tag in _tags(member)]


def _step(tree: Any, element: str | int) -> tuple[Any, str | int]:
    """One step down the values; a list's item is named by index or kind, and placed by its kind if it has one."""
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            if element in (index, item_key(index, item)):
                return item, item_key(index, item)
    return (tree.get(element) if isinstance(tree, dict) else None), element


def _named(annotation: Any) -> ByKind | None:
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((one for one in metadata if isinstance(one, ByKind)), None)


def _bare(annotation: Any, tree: Any = None) -> Any:
    """The type without its constraints and without `| None`; if a kind decides, the model of the one in `tree`."""
    if by_kind := _named(annotation):
        return by_kind.model_for(tree)
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        trees = [one for one in metadata if isinstance(one, Tree)]
        return trees[0].model() if trees else _bare(inner)
    if get_origin(annotation) in (Union, UnionType):
        members = [one for one in get_args(annotation) if one is not NoneType]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation


def _members(annotation: Any) -> list[Any]:
    return [*get_args(annotation)] if get_origin(annotation) in (Union, UnionType) else []


def _tags(member: Any) -> list[Any]:
    if get_origin(member) is Annotated:
        return [one.tag for one in get_args(member) if isinstance(one, Tag)]
    return [*get_args(member.model_fields["kind"].annotation)] if "kind" in _fields(member) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Frozen)


def _fields(annotation: Any) -> Container[Any]:
    return annotation.model_fields if _is_model(annotation) else ()


def _annotation(info: FieldInfo | None) -> Any:
    if info is None:
        return None
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _item(annotation: Any) -> Any:
    """The type of a list's or a mapping's items."""
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple:
        return arguments[0]
    return arguments[1] if get_origin(annotation) is FrozenDict else None
