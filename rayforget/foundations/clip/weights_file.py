"""A file of weights for an open_clip architecture -> the activation and preprocessing that these weights want.

open_clip keeps both with its pretrained tags and not in files. Without a tag it would run OpenAI's weights with another
activation, or MobileCLIP's with another mean, and say nothing.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError
from rayforget.foundations.clip.config import ClipFoundation

_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
_HASH_IN_URL = re.compile(r"/([0-9a-f]{64})/|-([0-9a-f]{8})\.\w+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFacts:
    """How weights must be run."""

    quick_gelu: bool
    preprocessing: tuple[tuple[str, Any], ...]
    """Values of mean, std, interpolation and resize_mode, as far as they are known."""

    def __str__(self) -> str:
        """`QuickGELU; mean (0.48, ...), std (...), bicubic, shortest`."""
        known = dict(self.preprocessing)
        parts = [
            f"{key} ({', '.join(f'{each:.4g}' for each in known[key])})" for key in ("mean", "std") if key in known
        ]
        parts += [known[key] for key in ("interpolation", "resize_mode") if key in known]
        return f"{'QuickGELU' if self.quick_gelu else 'GELU'}; {', '.join(parts) or 'open_clip`s defaults'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What applies to a file, and where it comes from."""

    facts: WeightFacts
    origin: str


def settle_facts(spec: ClipFoundation, *, quick_gelu: bool, tags: Mapping[str, Mapping[str, Any]]) -> Settled:
    """What the file `spec.pretrained` wants: the space's word, else its tag's, if its name or hash tells one, else what
    all tags of the architecture have in common.

    Args:
        spec: an architecture with a file of weights.
        quick_gelu: whether the architecture has QuickGELU by its name.
        tags: open_clip's tags of the architecture with what it knows of each.

    Raises:
        FoundationError: tags differ and nothing says which of them the file is like, or the space asks for an unknown
            one.
    """
    assert spec.pretrained is not None
    own = _of_space(spec)
    facts = {tag: _facts(of_tag, own, quick_gelu) for tag, of_tag in tags.items()}
    if spec.like is not None:
        if spec.like not in facts:
            raise FoundationError(
                f"foundation.like {spec.like!r} is no tag of {spec.model}; it has {', '.join(tags) or 'none'}"
            )
        return Settled(facts=facts[spec.like], origin=f"those of the tag {spec.like} (like)")
    if not facts:
        return Settled(facts=_facts({}, own, quick_gelu), origin="open_clip's own, since it has no tag of this model")
    if len(set(facts.values())) == 1:
        origin = "those of the space" if own else f"those of every tag that open_clip has for {spec.model}"
        return Settled(facts=next(iter(facts.values())), origin=origin)
    file = Path(spec.pretrained)
    for how, found in (("name", _by_name(file, tags)), ("hash", _by_hash(file, tags))):
        if found and len({facts[tag] for tag in found}) == 1:
            return Settled(facts=facts[found[0]], origin=f"those of the tag {found[0]}, by the file's {how}")
    groups: dict[WeightFacts, list[str]] = {}
    for tag, each in facts.items():
        groups.setdefault(each, []).append(tag)
    listed = "; ".join(f"{', '.join(of[:4])}{', ...' if len(of) > 4 else ''}: {each}" for each, of in groups.items())
    raise FoundationError(
        f"foundation.pretrained {file}: neither the file's name nor its hash says which activation and preprocessing "
        f"its weights want, and open_clip's tags of {spec.model} differ ({listed}); write `like: TAG` with the tag "
        "that the weights come from"
    )


def _of_space(spec: ClipFoundation) -> dict[str, Any]:
    keys = ("quick_gelu", *_PREPROCESSING)
    return {key: value for key in keys if (value := getattr(spec, key)) is not None}


def _facts(of_tag: Mapping[str, Any], own: Mapping[str, Any], quick_gelu: bool) -> WeightFacts:
    merged = {**of_tag, **own}
    known = (
        (key, tuple(merged[key]) if key in ("mean", "std") else merged[key]) for key in _PREPROCESSING if key in merged
    )
    return WeightFacts(
        quick_gelu=own.get("quick_gelu", quick_gelu or bool(of_tag.get("quick_gelu", False))),
        preprocessing=tuple(known),
    )


def _by_name(file: Path, tags: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The tags with the longest name among those in the file's name, or the tag of the hub's folder in its path."""
    hub = [part.removeprefix("models--").replace("--", "/") for part in file.parts if part.startswith("models--")]
    of_hub = [tag for tag, of_tag in tags.items() if of_tag.get("hf_hub", "").strip("/") in hub]
    if of_hub:
        return of_hub
    name = _plain(file.stem)
    found = [tag for tag in tags if re.search(rf"(?<![a-z0-9]){_plain(tag)}(?![a-z0-9])", name)]
    return [tag for tag in found if not any(tag != other and _plain(tag) in _plain(other) for other in found)]


def _by_hash(file: Path, tags: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The tags whose address holds the file's SHA-256, or its first eight digits."""
    known = dict(_hashes(tags))
    if not known:
        return []
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return [tag for tag, start in known.items() if digest.startswith(start)]


def _hashes(tags: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for tag, of_tag in tags.items():
        if match := _HASH_IN_URL.search(of_tag.get("url", "")):
            yield tag, match.group(1) or match.group(2)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())
