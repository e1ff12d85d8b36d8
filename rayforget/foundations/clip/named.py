"""A CLIP model as a command line names it -> its settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError
from rayforget.foundations.clip.config import OF_FILES, ClipFoundation
from rayforget.foundations.model_folder import read_config
from rayforget.space.paths import LOCAL_FOLDER, is_weights_file

_WITH_TAG = re.compile(r"(?P<model>[\w.-]+):(?P<tag>[\w-]+)", re.ASCII)
_PREFIXES = (LOCAL_FOLDER, "hf-hub:")
_TRAINING_ONLY = re.compile(r"(^|\.)(patch_dropout|output_dict|.*pretrained.*)$")
"""Settings of a configuration that do not change a model's answers."""


def named_clip(place: str, like: ClipFoundation) -> ClipFoundation:
    """The model at a place.

    Args:
        place: `builtin`, `hf-hub:OWNER/NAME`, a folder in open_clip's format (with or without `local-dir:`),
            open_clip's `NAME:TAG`, or a file of weights.
        like: for a file, the model of its architecture; the file's weights are run as that model's.

    Raises:
        FoundationError: it is none of these.
    """
    path = Path(place).expanduser()
    common: dict[str, Any] = {"kind": like.kind, "trust_remote_code": like.trust_remote_code}
    if place == "builtin" or place.startswith(_PREFIXES):
        return ClipFoundation(**common, model=place)
    if path.is_dir():
        return ClipFoundation(**common, model=f"{LOCAL_FOLDER}{place}")
    if path.is_file():
        return ClipFoundation(**common, model=like.model, pretrained=str(path.absolute()), **_as_run(like))
    if match := _WITH_TAG.fullmatch(place):
        return ClipFoundation(**common, model=match["model"], pretrained=match["tag"])
    raise FoundationError(
        f"found {place!r}, and there is no such folder or file; give a folder in open_clip's format, a file of weights "
        "(.safetensors, .pt), NAME:TAG of open_clip (ViT-B-16:openai), hf-hub:OWNER/NAME, or builtin"
    )


def unlike_clip(spec: ClipFoundation, base: ClipFoundation) -> tuple[str, ...]:
    """What the configurations of two folders have in unequal values: activation, heads, preprocessing."""
    whole = [_config(each) for each in (spec, base)]
    if not all(whole):
        return ()
    one, other = map(answering, whole)
    return tuple(
        f"{key}: {_shown(one.get(key))} where the base has {_shown(other.get(key))}"
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    )


def answering(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of `open_clip_config.json` decides a model's answers, as `vision_cfg.layers` and the like -> value."""
    return {key: value for key, value in _flat(config) if not _TRAINING_ONLY.search(key)}


def _as_run(like: ClipFoundation) -> dict[str, Any]:
    """What says how a file's weights are run, where that is not in the model's folder."""
    if like.pretrained is None or like.model.startswith(_PREFIXES) or like.model == "builtin":
        return {"revision": like.revision}
    if is_weights_file(like.pretrained):
        return {key: value for key in OF_FILES if (value := getattr(like, key)) is not None}
    return {"like": like.pretrained}


def _config(spec: ClipFoundation) -> Mapping[str, Any]:
    file = Path(spec.model.removeprefix(LOCAL_FOLDER)) / "open_clip_config.json"
    if not spec.model.startswith(LOCAL_FOLDER) or not file.is_file():
        return {}
    config = read_config(file)
    return {key: config[key] for key in ("model_cfg", "preprocess_cfg") if key in config}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)
