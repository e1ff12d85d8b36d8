"""A space's `recipe`, `methods` and `plain` -> its methods, each with its own constants and domains."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rayforget.space.domains import ChoiceDomain, Domain, FloatDomain, IntDomain
from rayforget.space.foundation import FoundationConfig, rules_of
from rayforget.space.frozen import Frozen, FrozenDict, freeze
from rayforget.space.method import Method
from rayforget.space.searchable import open_recipe

if TYPE_CHECKING:
    from rayforget.space.parts import SpaceParts

PLAIN = "plain"
"""Name of the baseline's method."""


def methods_of(space: "SpaceParts") -> tuple[Method, ...]:
    """The space's methods, in its order."""
    return tuple(_method(name, overlaid(space.recipe, tree), space.foundation) for name, tree in space.methods.items())


def plain_of(space: "SpaceParts") -> Method:
    """Plain fine-tuning: `recipe` under `plain.set`, without adapter and penalties; no domain is left in it."""
    return _method(PLAIN, overlaid(baseline(space.recipe), space.plain.set), space.foundation)


def overlaid(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`recipe` under a method: the method's constant, domain, adapter or list of penalties replaces the common one."""
    return {**common, **own}


def baseline(common: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `recipe` that also holds for plain fine-tuning."""
    return {key: value for key, value in common.items() if key not in ("adapter", "penalties")}


def _method(name: str, tree: Mapping[str, Any], foundation: FoundationConfig) -> Method:
    tree = dict(tree)
    head = rules_of(foundation.kind).head
    if head is not None and tree.get("head") is None:
        tree["head"] = head
    domains: dict[str, Domain] = {}
    constants = _split(open_recipe().model_validate(tree), "", domains)
    return Method(name=name, constants=freeze(constants), domains=FrozenDict(domains))


def _split(value: Any, path: str, domains: dict[str, Domain]) -> Any:
    """The constants of a checked tree; adds its domains to `domains`, in the order of Recipe's fields."""
    if isinstance(value, tuple):
        return [_split(item, f"{path}{getattr(item, 'kind', '')}.", domains) for item in value]
    if not isinstance(value, Frozen):
        return value
    constants: dict[str, Any] = {}
    for name in type(value).model_fields:
        if name in value.model_fields_set:
            inner = getattr(value, name)
            if isinstance(inner, FloatDomain | IntDomain | ChoiceDomain):
                domains[f"{path}{name}"] = _general(inner)
            else:
                constants[name] = _split(inner, f"{path}{name}.", domains)
    return constants


def _general(domain: Domain) -> Domain:
    """The domain as one of this package's three types instead of the type made for its field."""
    kinds = (FloatDomain, IntDomain, ChoiceDomain)
    kind = next(kind for kind in kinds if isinstance(domain, kind))
    return kind.model_validate(domain.model_dump(exclude_unset=True))
