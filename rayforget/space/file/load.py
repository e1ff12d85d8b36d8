"""A space file with the command line's overrides -> a checked space, its methods, and the place of each key."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from rayforget.errors import SpaceError
from rayforget.extensions.registry import refusing_claims
from rayforget.space.checks import without_effect
from rayforget.space.file.document import Document, read_document, read_file
from rayforget.space.file.extension_places import naming_their_lines
from rayforget.space.file.messages import space_lines
from rayforget.space.file.overrides import override
from rayforget.space.file.variables import interpolate
from rayforget.space.frozen import Frozen, invalid
from rayforget.space.method import Method
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space

Model = TypeVar("Model", bound=Frozen)
_MOST_LINES = 50
"""Lines of a message on what is wrong; nobody reads more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSpace:
    """A space that passed every check that needs no data, with what is needed to refer to its file."""

    path: Path
    """The file it was read from."""
    text: str
    """The file's text, for the record."""
    overrides: tuple[str, ...]
    """The `key.path=value` options applied to it, in order."""
    space: Space
    methods: tuple[Method, ...]
    """The methods to compare, in the file's order."""
    plain: Method
    """The baseline, which has no domains: `plain.recipe(seed=...)`."""
    document: Document

    def where(self, key: str) -> str:
        """Place of a key such as `tasks.photo.val`: `space.yaml:12`, or the option that set it."""
        return self.document.where(tuple(key.split(".")))


def load_space(path: Path, overrides: Sequence[str] = ()) -> LoadedSpace:
    """Reads and checks a space file; raises SpaceError with one line for everything that is wrong.

    Variables are read from this process's environment, and relative local paths become absolute in its working folder.
    """
    return load_text(read_file(path), path, overrides)


def load_text(text: str, path: Path, overrides: Sequence[str] = ()) -> LoadedSpace:
    """As `load_space`, of a text; `path` stands for its file in messages."""
    document = interpolate(override(read_document(text, str(path)), overrides), os.environ)
    with naming_their_lines(document), refusing_claims():
        space = checked(document, Space)
        return LoadedSpace(
            path=path,
            text=text,
            overrides=tuple(overrides),
            space=space,
            methods=methods_of(space),
            plain=plain_of(space),
            document=document,
        )


def checked(document: Document, model: type[Model]) -> Model:
    """The document as this model, a space or a part of one; raises SpaceError as `load_space`."""
    try:
        # Strict JSON: 1 is no text, "1" no number and true no 1, while a list may be a tuple and a text a path.
        with refusing_claims():
            found = model.model_validate_json(json.dumps(document.tree), strict=True)
        if isinstance(found, Space) and (problems := list(without_effect(found))):
            raise invalid("Space", problems)
    except ValidationError as error:
        lines = space_lines(error, model, document)
        more = [f"and {len(lines) - _MOST_LINES} more of the kind"] if len(lines) > _MOST_LINES else []
        raise SpaceError(*lines[:_MOST_LINES], *more) from None
    return found
