"""`${name}`, `${NAME}` and `${NAME:-default}` in a document's strings -> their values."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rayforget.errors import SpaceError
from rayforget.space.file.document import MOST_CHARACTERS, At, Document, dotted, item_key
from rayforget.space.file.secrets import (
    VARIABLE,
    WRITTEN_OUT,
    has_written_secret,
    may_hold_secret,
    no_place_for,
    sounds_secret,
)

_TAKE_SECRETS = (("tracking", "uri"), ("storage", "path"))
"""Keys with an address; the first is recorded as it is written, the second without its password."""


def interpolate(document: Document, environment: Mapping[str, str]) -> Document:
    """The document with every variable replaced.

    A name is looked up in the file's own `vars`, then in the environment; the values of `vars` themselves read only the
    environment. As in a shell, `:-default` replaces what is unset or empty. Raises SpaceError for all that is
    malformed, set nowhere, or never used.

    `tracking.uri` may hold a password, and the space is recorded: there, and in `vars`, what the environment gives is
    only looked for, and stays written as a variable until MLflow is asked (`fill`). A password written out is refused.
    `storage.path` may hold keys, which its record leaves out. No other key takes a secret, so that a variable of the
    environment which is named as one is refused there.
    """
    problems: list[str] = []
    used: set[str] = set()
    own = document.tree.get("vars")
    address = _uri_of(document.tree)
    of_uri = names_in([address]) if isinstance(address, str) else set()

    def complain(at: At, text: str) -> None:
        place = document.where(at)
        if private(at):
            place = _without_value(place)
        problems.append(f"{place}: {dotted(at)}: {text}")

    def may_hold(name: str) -> bool:
        value = environment.get(name, "")
        return value != "" and (sounds_secret(name) or may_hold_secret(value)) and not os.path.exists(value)

    def secret_of(name: str) -> str | None:
        """The variable of the environment that may hold a secret, and whose value this name stands for."""
        names = sorted(names_in([str(own[name])])) if isinstance(own, dict) and name in own else [name]
        return next((each for each in names if may_hold(each)), None)

    def private(at: At) -> bool:
        return at == ("tracking", "uri") or (at[0] == "vars" and at[-1] in of_uri)

    def filled(text: str, at: At, values: Mapping[str, Any]) -> str:
        def value_of(match: re.Match[str]) -> str:
            name, default = match.groups()
            used.add(name)
            if at not in _TAKE_SECRETS and at[0] != "vars" and (secret := secret_of(name)):
                complain(at, no_place_for(secret))
            value = values.get(name, default)
            if value is None or isinstance(value, dict | list):
                hint = "" if name in environment or at[0] != "vars" else " (variables do not read each other)"
                text = f"found ${{{name}}}, which is set neither under vars nor in the environment{hint}"
                complain(at, f"{text}; set it, or write ${{{name}:-a default}}")
            return str(value)

        if "${" in VARIABLE.sub("", text):
            found = "something else after ${" if private(at) else repr(text)
            complain(at, f"found {found}; a variable is written ${{name}} or ${{NAME:-default}}")
        long = sum(len(str(values.get(match.group(1), ""))) for match in VARIABLE.finditer(text))
        if long > MOST_CHARACTERS:
            complain(at, f"found variables of {long} characters together, expected at most {MOST_CHARACTERS}")
            return text
        return VARIABLE.sub(value_of, text)

    outside = {name: value for name, value in environment.items() if value}
    variables = _each_string(own, ("vars",), lambda text, at: filled(text, at, outside))
    used.clear()
    inside = {**outside, **(variables if isinstance(variables, dict) else {})}
    tree = {
        key: variables if key == "vars" else _each_string(value, (key,), lambda text, at: filled(text, at, inside))
        for key, value in document.tree.items()
    }
    for name in variables if isinstance(variables, dict) else ():
        if name not in used:
            complain(("vars", name), f"is used nowhere; write ${{{name}}} where it belongs, or remove it")
    if isinstance(own, dict):
        tree["vars"] = own
    if isinstance(address, str):
        tree["tracking"] = {**tree["tracking"], "uri": _with_own(address, own)}
        if has_written_secret(_with_own(address, own)):
            place = _without_value(document.where(("tracking", "uri")))
            problems.append(f"{place}: tracking.uri: {WRITTEN_OUT}")
    if problems:
        raise SpaceError(*dict.fromkeys(problems))
    return Document(tree=tree, places=document.places)


def fill(text: str, environment: Mapping[str, str]) -> str:
    """A recorded text with its variables' values; raises SpaceError if one is not set and has no default."""

    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match.group(1)) or match.group(2)
        if value is None:
            raise SpaceError(
                f"reads ${{{match.group(1)}}}, which is not set here; set it to what the sweep was started with"
            )
        return value

    return VARIABLE.sub(value_of, text)


def _without_value(place: str) -> str:
    return place.partition("=")[0] if place.startswith("--set ") else place


def _uri_of(tree: Mapping[str, Any]) -> Any:
    tracking = tree.get("tracking")
    return tracking.get("uri") if isinstance(tracking, dict) else None


def _with_own(text: str, own: Any) -> str:
    """The text with the file's own variables as they are written; the environment's are left."""
    values = own if isinstance(own, dict) else {}
    return VARIABLE.sub(lambda match: str(values.get(match.group(1), match.group(0))), text)


def names_in(texts: Iterable[str]) -> set[str]:
    """Names of all variables that the texts read, wherever their values come from."""
    return {match.group(1) for text in texts for match in VARIABLE.finditer(text)}


def _each_string(tree: Any, at: At, change: Callable[[str, At], str]) -> Any:
    if isinstance(tree, dict):
        return {key: _each_string(value, (*at, key), change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_each_string(value, (*at, item_key(index, value)), change) for index, value in enumerate(tree)]
    return change(tree, at) if isinstance(tree, str) else tree
