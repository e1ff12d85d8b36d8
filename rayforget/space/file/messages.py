"""Pydantic's errors -> lines for people: where, which key, what was found, what was expected, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rayforget.space.file.document import At, Document, dotted
from rayforget.space.file.expected import found_and_expected, shown
from rayforget.space.file.locate import kinds, locate
from rayforget.space.frozen import Frozen
from rayforget.space.searchable import CONSTANT

_OR_A_DOMAIN = {
    "int_type": ", or a domain {low: ..., high: ...}",
    "float_type": ", or a domain {low: ..., high: ...}",
    "literal_error": ", or {choice: [...]}",
}


def space_lines(error: ValidationError, model: type[Frozen], document: Document) -> list[str]:
    """One line for each distinct error in a document that `model` refused."""
    found = error.errors()
    inside = {details["loc"][:depth] for details in found for depth in range(len(details["loc"]))}
    # A list whose items were refused is too short only because of that.
    told = [details for details in found if details["type"] != "too_short" or details["loc"] not in inside]
    return list(dict.fromkeys(_line(details, model, document) for details in told))


def _line(details: ErrorDetails, model: type[Frozen], document: Document) -> str:
    at, owner = locate(model, details["loc"], document.tree)
    if details["type"] == "union_tag_invalid":
        at = (*at, "kind")
    return f"{document.where(at)}: {dotted((*at,)) or 'the file'}: {_text(details, at, owner)}"


def _text(details: ErrorDetails, at: At, owner: type[Frozen] | None) -> str:
    kind, context = details["type"], details.get("ctx", {})
    key = at[-1] if at else ""
    match kind:
        case "problem":
            return details["msg"]
        case "missing":
            one_of = _constants(owner, key)
            return f"is missing; add `{key}:`{f', one of {one_of}' if one_of else ''}{_about(owner, key)}"
        case "extra_forbidden":
            return f"unknown key; {_instead(str(key), owner.model_fields if owner else ())}"
        case "union_tag_not_found":
            return f"has no kind; add `kind:`, one of {_listed(kinds(owner, at) if owner else ())}"
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            return f"found {shown(details['input'].get('kind'))}; {_instead(str(context['tag']), tags)}"
        case _:
            or_a_domain = _OR_A_DOMAIN.get(kind, "") if CONSTANT in details["loc"] else ""
            return f"{found_and_expected(details)}{or_a_domain}"


def _instead(found: str, known: Iterable[str]) -> str:
    close = get_close_matches(found, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {_listed(known)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _constants(owner: type[Frozen] | None, key: str | int) -> str:
    """The field's allowed values, if they are a few constants."""
    info = owner.model_fields.get(str(key)) if owner else None
    constants = get_args(info.annotation) if info and get_origin(info.annotation) is Literal else ()
    return ", ".join(str(constant) for constant in constants)


def _about(owner: type[Frozen] | None, key: str | int) -> str:
    info = owner.model_fields.get(str(key)) if owner else None
    return f" ({info.description.rstrip('.')})" if info and info.description else ""
