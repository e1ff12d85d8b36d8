"""A space's CLIP model -> the arguments for open_clip; mistakes are found before anything loads."""

import difflib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.own_code import refuse_own_code
from rayforget.foundations.clip.weights_file import Settled, settle_facts
from rayforget.foundations.model_folder import read_config, refuse_empty, refuse_pointers
from rayforget.space.paths import is_hub_name, is_weights_file

_MODEL_PARTS = frozenset({"embed_dim", "vision_cfg", "text_cfg"})
_WEIGHT_ENDINGS = (".safetensors", ".bin", ".pth")
_WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
"""In the order in which open_clip prefers them; of other names it takes the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSource:
    """The arguments of open_clip's factory."""

    name: str
    """`ViT-B-16`, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`."""
    pretrained: str | None
    """Tag or file of the weights; for a model that brings its own, a file of those to take instead."""
    quick_gelu: bool
    """Whether the weights want QuickGELU even if the name does not say so (open_clip only warns)."""
    preprocessing: dict[str, Any] = field(default_factory=dict)
    """What the space or a file's tag says of mean, std, interpolation and resizing."""
    own_weights: str | None = None
    """The file of weights in a folder that is a whole model."""
    runs_with: str | None = None
    """Activation and preprocessing of a file of weights, which brings none of its own, in words."""

    @property
    def file(self) -> str | None:
        """The file of weights; None for a tag, or a model that brings its own."""
        return self.pretrained if self.pretrained is not None and is_weights_file(self.pretrained) else None


def is_whole(model: str) -> bool:
    """Whether a model's name stands for a folder, which says how its weights are run."""
    return model == "builtin" or ":" in model


def clip_source(spec: ClipFoundation) -> ClipSource:
    """Resolves the space's model, including `builtin`; the space itself has checked which settings go together.

    Raises:
        FoundationError: the folder, a file in it, the model name or the tag does not exist.
    """
    if spec.model == "builtin":
        spec = spec.model_copy(update={"model": f"local-dir:{builtin_folder()}"})
    prefix, found, place = spec.model.partition(":")
    if not found:
        return _by_name(spec)
    if prefix not in ("local-dir", "hf-hub"):
        raise FoundationError(
            f"foundation.model {spec.model!r} begins with an unknown {prefix!r}; expected a model name, "
            "hf-hub:OWNER/NAME, local-dir:FOLDER or builtin"
        )
    if spec.pretrained is not None and not Path(spec.pretrained).is_file():
        raise FoundationError(f"foundation.pretrained {spec.pretrained}: no such file; give a file of weights")
    if spec.pretrained is not None:
        refuse_pointers([Path(spec.pretrained)], "the weights")
    if prefix == "local-dir":
        own = _check_folder(Path(place), trusted=spec.trust_remote_code, whole=spec.pretrained is None)
        return ClipSource(name=spec.model, pretrained=spec.pretrained, quick_gelu=False, own_weights=own)
    if not is_hub_name(place, owned=True):
        raise FoundationError(
            f"foundation.model {spec.model!r} cannot be a name on the hub; write hf-hub:OWNER/NAME, "
            "as huggingface.co has it"
        )
    if spec.revision is not None:
        folder = _downloaded(place, spec)
        own = _check_folder(folder, trusted=spec.trust_remote_code, whole=True)
        name = f"local-dir:{folder}"
        return ClipSource(name=name, pretrained=spec.pretrained, quick_gelu=False, own_weights=own)
    return ClipSource(name=spec.model, pretrained=spec.pretrained, quick_gelu=False)


def file_facts(spec: ClipFoundation) -> Settled | None:
    """What applies to a file of weights, and why; None for a model that brings its own.

    Raises:
        FoundationError: nothing says what applies.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    if spec.pretrained is None or not is_weights_file(spec.pretrained) or is_whole(spec.model):
        return None
    name = spec.model.replace("/", "-")
    tags = {tag: get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
    by_name = bool((open_clip.get_model_config(name) or {}).get("quick_gelu", False))
    if by_name and spec.quick_gelu is False:
        raise FoundationError(f"foundation.quick_gelu: found false with {spec.model}, which has it; write another name")
    return settle_facts(spec, quick_gelu=by_name, tags=tags)


@contextmanager
def quiet_open_clip() -> Iterator[None]:
    """Suppresses open_clip's own messages while it loads a model; errors and all other logging pass.

    open_clip logs through the root logger, whose first message also makes the standard library print all warnings a
    second time, for good (`logging.basicConfig`). So the filter goes by the file that a message comes from, and a root
    logger without a handler gets Python's fallback handler meanwhile.
    """
    import open_clip

    root, folder = logging.getLogger(), str(Path(open_clip.__file__).parent)

    def from_others(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not record.pathname.startswith(folder)

    fallback = logging.lastResort or logging.NullHandler()
    root.addFilter(from_others)
    if not root.handlers:
        root.addHandler(fallback)
    try:
        yield
    finally:
        root.removeFilter(from_others)
        root.removeHandler(fallback)


def builtin_folder() -> Path:
    """The folder of the built-in model, in open_clip's local-folder format."""
    return Path(str(files("rayforget.builtin.pictures") / "weights"))


def _by_name(spec: ClipFoundation) -> ClipSource:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    name, pretrained = spec.model.replace("/", "-"), spec.pretrained or ""
    models: list[str] = open_clip.list_models()
    if name not in models:
        raise FoundationError(
            f"foundation.model {name!r} is no model of open_clip{_near(name, models)}; write one of its names, "
            "hf-hub:OWNER/NAME, local-dir:FOLDER or builtin"
        )
    tags: list[str] = open_clip.list_pretrained_tags_by_model(name)
    known = f"open_clip has for {name}: {', '.join(tags) or 'none'}; a file of weights is possible too (./FILE)"
    tag: dict[str, Any] = get_pretrained_cfg(name, pretrained)
    if is_weights_file(pretrained):
        if not Path(pretrained).is_file():
            raise FoundationError(f"foundation.pretrained {pretrained}: no such file; {known}")
        refuse_pointers([Path(pretrained)], "the weights")
        settled = file_facts(spec)
        assert settled is not None
        facts = settled.facts
        return ClipSource(
            name=name,
            pretrained=pretrained,
            quick_gelu=facts.quick_gelu,
            preprocessing=dict(facts.preprocessing),
            runs_with=str(facts),
        )
    if not tag:
        raise FoundationError(f"foundation.pretrained {pretrained!r} is no tag{_near(pretrained, tags)}; {known}")
    return ClipSource(name=name, pretrained=pretrained, quick_gelu=bool(tag.get("quick_gelu", False)))


def _downloaded(name: str, spec: ClipFoundation) -> Path:
    """The folder of a hub model at a commit, since open_clip itself only takes the newest."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    revision = spec.revision
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.txt", "*.safetensors"]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.txt", "*.bin"]))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise FoundationError(
            f"foundation.model hf-hub:{name} at revision {revision} cannot be downloaded ({str(error)[:300]}); check "
            "name and commit on huggingface.co and the network, or download it and use local-dir:FOLDER"
        ) from error
    return folder


def _check_folder(folder: Path, *, trusted: bool, whole: bool) -> str | None:
    """Checks what open_clip will read; gives the file of weights, if the folder is a `whole` model."""
    what = f"foundation.model local-dir:{folder}"
    if not folder.is_dir():
        raise FoundationError(f"{what}: no such folder; give the folder that holds open_clip_config.json")
    config = folder / "open_clip_config.json"
    if not config.is_file():
        raise FoundationError(f"{what}: open_clip_config.json is missing; save the model in open_clip's folder format")
    parts = read_config(config).get("model_cfg")
    if not isinstance(parts, dict) or not parts.keys() >= _MODEL_PARTS:
        raise FoundationError(
            f"{config} has no model_cfg with {', '.join(sorted(_MODEL_PARTS))}; expected open_clip's folder format"
        )
    refuse_own_code(f"local-dir:{folder}", parts, trusted=trusted)
    refuse_pointers(path for pattern in ("*.json", "*.txt", "*.model") for path in folder.glob(pattern))
    if not whole:
        return None
    weights = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHT_ENDINGS)
    if not weights:
        others = [path.name for path in sorted(folder.glob("*.pt"))]
        found = f" (found {', '.join(others[:4])}: name one by `pretrained: {folder}/{others[0]}`)" if others else ""
        raise FoundationError(
            f"{what}: no weights; expected open_clip_model.safetensors beside open_clip_config.json{found}"
        )
    refuse_empty(weights)
    own = [folder / name for name in _WEIGHT_NAMES if folder / name in weights] or weights
    if len(own) > 1 and own[0].name not in _WEIGHT_NAMES:
        listed = ", ".join(path.name for path in own[:4])
        raise FoundationError(
            f"{what}: {listed} may all be its weights; name one by `pretrained: {folder}/{own[0].name}`"
        )
    return str(own[0])


def _near(name: str, known: Iterable[str]) -> str:
    lowered = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=3)
    return f" (did you mean {', '.join(lowered[match] for match in near)}?)" if near else ""
