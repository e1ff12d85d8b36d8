"""Local paths of a space file -> absolute ones, since Ray's workers run in another folder."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from rayforget.space.file.secrets import has_written_secret, may_hold_secret, shown

LOCAL_FOLDER = "local-dir:"
"""open_clip's prefix of a model in a local folder."""

_HUB_PART = r"(?!\.+(?:/|$))[\w.-]+"
_FILE_SYSTEMS = frozenset({"file", "s3", "gs", "gcs", "abfs", "abfss"})
"""URI schemes in which the record can be kept, and data lie."""


def is_uri(place: str) -> bool:
    """Whether the place is not a path of this machine's file system: `s3://...`, webdataset's `pipe:...`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|pipe:", place) is not None


def is_hub_name(name: str, *, owned: bool) -> bool:
    """Whether this can be the name of a model on the hub: OWNER/NAME, or also NAME (`gpt2`) unless `owned`."""
    return re.fullmatch(_HUB_PART + (f"/{_HUB_PART}" if owned else f"(?:/{_HUB_PART})?"), name, re.ASCII) is not None


def has_file_system(uri: str) -> bool:
    """Whether the URI's scheme names a file system in which a sweep can be kept."""
    return uri.partition(":")[0].lower() in _FILE_SYSTEMS


def _absolute(path: str) -> str:
    _given(path)
    at_home = os.path.expanduser(path)
    if path.startswith("~") and at_home == path:
        raise _refused(f"found {path!r}, and this machine has no such user; write ~/... or an absolute path")
    return os.path.abspath(at_home)


def _given(path: Any) -> Any:
    """The value unchanged, unless it is empty: "" would mean the working folder."""
    if isinstance(path, str) and not path.strip():
        raise _refused("found no path; write one, or . for the working folder")
    return path


def _of_this_machine(path: Any) -> Any:
    """The value unchanged, unless it is empty or an address, which may hold a password that no message repeats."""
    if isinstance(path, str) and is_uri(path):
        raise _refused(f"found {shown(path)}, expected a path of this machine; download what is there first")
    return _given(path)


def _of_data(place: Any) -> Any:
    """The value as text, if it can be a path or an address from which data are fetched."""
    if isinstance(place, Path):
        place = str(place)
    if isinstance(place, str) and is_uri(place):
        if not has_file_system(place):
            known = ", ".join(f"{scheme}://" for scheme in sorted(_FILE_SYSTEMS))
            raise _refused(f"found {shown(place)}, expected a path or one of {known}; download what is there first")
        if has_written_secret(place) or may_hold_secret(place):
            raise _refused(
                f"found a key in the address {shown(place)}, and the space is recorded; leave it out, since each node "
                "finds its own credentials"
            )
    return _given(place)


def _refused(text: str) -> PydanticCustomError:
    return PydanticCustomError("problem", "{text}", {"text": text})


def _absolute_path(path: Path) -> Path:
    return Path(_absolute(str(path)))


def _absolute_unless_uri(place: str) -> str:
    return place if is_uri(place) else _absolute(place)


def _absolute_if_folder(place: str) -> str:
    if is_uri(place):
        return place
    looks_local = place.startswith(("/", "./", "../", "~")) or place in (".", "..")
    return _absolute(place) if looks_local or os.path.isdir(place) else place


def _absolute_model(model: str) -> str:
    folder = model.removeprefix(LOCAL_FOLDER)
    return LOCAL_FOLDER + _absolute(folder) if folder != model else model


def is_weights_file(pretrained: str) -> bool:
    """Whether a model's `pretrained` names a file: open_clip's tags contain no /, . or ~."""
    return re.search(r"[/.~]", pretrained) is not None


def _absolute_if_file(pretrained: str) -> str:
    return _absolute(pretrained) if is_weights_file(pretrained) else pretrained


def is_yaml(name: str) -> bool:
    """Whether a task's name is the path of a file."""
    return name.endswith((".yaml", ".yml"))


def _absolute_if_yaml(name: str) -> str:
    return _absolute(name) if is_yaml(name) else name


LocalPath = Annotated[Path, BeforeValidator(_of_this_machine), AfterValidator(_absolute_path)]
"""A file or folder of this machine."""
DataPlace = Annotated[str, BeforeValidator(_of_data), AfterValidator(_absolute_unless_uri)]
"""A file or folder, or several by braces and globs, of this machine or at a URI, from which each node fetches it."""
Place = Annotated[str, AfterValidator(_absolute_unless_uri)]
"""A local path or a URI."""
FolderOrHubName = Annotated[str, BeforeValidator(_of_data), AfterValidator(_absolute_if_folder)]
"""A folder at a URI; a local folder if there is one or the spelling says so (`./x`); else a name on the hub, as in
`datasets`."""
ModelName = Annotated[str, AfterValidator(_absolute_model)]
"""A model's name; the folder after `local-dir:` is made absolute."""
TagOrFile = Annotated[str, AfterValidator(_absolute_if_file)]
"""open_clip's tag of pretrained weights, or a file of weights (`./weights.pt`, `weights.pt`)."""
NameOrYaml = Annotated[str, AfterValidator(_absolute_if_yaml)]
"""A name, or a YAML file, which ends with .yaml or .yml."""
