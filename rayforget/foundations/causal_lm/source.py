"""A space's language model -> the arguments for transformers; mistakes are found before anything loads."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.model_folder import read_config, refuse_empty, refuse_pointers
from rayforget.space.paths import LOCAL_FOLDER, is_hub_name

_STATES = ("*.pt", "*.pth")
_ADAPTER = "adapter_config.json"
_NO_ANSWERS = re.compile(
    r"^_|version|dtype|use_cache|dropout|layerdrop|pdrop|init|architectures|token_id|tie_word|quantization"
)
"""Keys of config.json in which models of one architecture may differ and answer alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalSource:
    """The arguments of transformers' `from_pretrained`."""

    name: str
    """A folder, or a name on the hub."""
    revision: str | None
    trust_remote_code: bool
    is_folder: bool
    tokenizer: str
    """A folder, or a name on the hub; the adapter's folder if that has a tokenizer."""
    adapter: str | None = None
    """Folder of a peft adapter, to be merged into the model."""
    pickled: bool = False
    """Whether the folder's weights are transformers' `pytorch_model*.bin`."""
    state_file: Path | None = None
    """The folder's only weights, a file of `torch.save` that transformers does not know by its name."""


def causal_source(spec: CausalLmFoundation) -> CausalSource:
    """Resolves `builtin` and checks a folder.

    Raises:
        FoundationError: the folder is missing, has no config.json or no weights, or a part of them is missing.
    """
    source = _whole(spec)
    if spec.adapter is None:
        return source
    if source.adapter is not None:
        raise FoundationError(
            f"foundation.model {source.adapter} is a peft adapter itself, and {spec.adapter} another one; merge the "
            "first into its base (merge_and_unload), save that, and name its folder"
        )
    adapter = Path(spec.adapter)
    if not is_adapter(adapter):
        raise FoundationError(
            f"foundation.adapter: found {adapter}, which is no peft adapter's folder; give one with {_ADAPTER}"
        )
    return _with_adapter(source, adapter)


def adapter_beside(name: str) -> str:
    """What is wrong with a model that brings all its weights and an adapter beside them, which transformers adds."""
    return (
        f"{name} holds a whole model and a peft adapter ({_ADAPTER}), and nothing says whether the adapter is merged "
        f"into the model: if it is, take {_ADAPTER} and adapter_model.* out; if it is not, put them into a folder of "
        "their own and name that under foundation.adapter"
    )


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a peft adapter and no whole model."""
    return (folder / _ADAPTER).is_file() and not _weights(folder)


def _whole(spec: CausalLmFoundation) -> CausalSource:
    name = str(files("rayforget.builtin.language") / "weights") if spec.model == "builtin" else spec.model
    folder = Path(name)
    if folder.is_absolute():
        return _with_base(spec, folder) if is_adapter(folder) else _of_folder(spec, folder)
    if name.startswith(LOCAL_FOLDER):
        raise FoundationError(
            f"foundation.model: found {name!r}, and {LOCAL_FOLDER} is for CLIP models; write the folder alone: "
            f"{name.removeprefix(LOCAL_FOLDER)}"
        )
    if not is_hub_name(name, owned=False):
        raise FoundationError(
            f"foundation.model: found {name!r}, neither a folder nor a name on the hub; write a folder or OWNER/NAME"
        )
    return CausalSource(
        name=name, revision=spec.revision, trust_remote_code=spec.trust_remote_code, is_folder=False, tokenizer=name
    )


def _with_base(spec: CausalLmFoundation, adapter: Path) -> CausalSource:
    """The base that a peft adapter names, on which it is merged."""
    config = read_config(adapter / _ADAPTER)
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise FoundationError(
            f"{adapter} is a peft adapter, and its {_ADAPTER} names no base_model_name_or_path; add it"
        )
    place = Path(base) if Path(base).is_absolute() else adapter / base
    if place.is_dir():
        source = _of_folder(spec, place.resolve())
    elif Path(base).is_absolute() or not is_hub_name(base, owned=False):
        raise FoundationError(
            f"{adapter} is a peft adapter of {base}, and there is no such folder; put the base model there, or write "
            f"its folder or hub name into base_model_name_or_path of {_ADAPTER}"
        )
    else:
        revision = config.get("revision")
        source = CausalSource(
            name=base,
            revision=revision if isinstance(revision, str) else None,
            trust_remote_code=spec.trust_remote_code,
            is_folder=False,
            tokenizer=base,
        )
    return _with_adapter(source, adapter)


def _with_adapter(source: CausalSource, adapter: Path) -> CausalSource:
    if not any((adapter / f"adapter_model.{ending}").is_file() for ending in ("safetensors", "bin")):
        raise FoundationError(f"{adapter} has {_ADAPTER} but no adapter_model.safetensors; copy the adapter again")
    refuse_empty(path for ending in ("safetensors", "bin") if (path := adapter / f"adapter_model.{ending}").is_file())
    refuse_pointers(_of_tokenizer(adapter))
    tokenizer = str(adapter) if (adapter / "tokenizer_config.json").is_file() else source.tokenizer
    return replace(source, adapter=str(adapter), tokenizer=tokenizer)


def _of_folder(spec: CausalLmFoundation, folder: Path) -> CausalSource:
    if not folder.is_dir():
        raise FoundationError(
            f"foundation.model: found {folder}, and there is no such folder; give the one that holds config.json"
        )
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise FoundationError(
            f"{folder} has no config.json (found: {found}); a model's folder is what `save_pretrained` writes"
        )
    read_config(folder / "config.json")
    weights = _weights(folder)
    if not weights:
        raise FoundationError(f"{folder} has no *.safetensors; a model's folder is what `save_pretrained` writes")
    refuse_empty(weights)
    refuse_pointers(_of_tokenizer(folder))
    if (folder / _ADAPTER).exists():
        raise FoundationError(adapter_beside(str(folder)))
    kind = weights[0].suffix
    if kind in (".pt", ".pth") and len(weights) > 1:
        raise FoundationError(
            f"{folder} holds {', '.join(path.name for path in weights[:4])}, and nothing says how they belong "
            "together; keep the one file that holds the model's weights, or convert them to safetensors"
        )
    for index in sorted(folder.glob(f"*{kind}.index.json")):
        _check_shards(index)
    return CausalSource(
        name=str(folder),
        revision=spec.revision,
        trust_remote_code=spec.trust_remote_code,
        is_folder=True,
        tokenizer=str(folder),
        pickled=kind == ".bin",
        state_file=weights[0] if kind in (".pt", ".pth") else None,
    )


def _of_tokenizer(folder: Path) -> Iterator[Path]:
    """The files that a tokenizer may be read from."""
    patterns = ("*.json", "*.model", "*.txt", "*.spm", "*.tiktoken", "*.jinja")
    return (path for pattern in patterns for path in folder.glob(pattern))


def _weights(folder: Path) -> list[Path]:
    """The files of weights of the first kind that there is: safetensors, transformers' pickles, other pickles."""
    for patterns in (("*.safetensors",), ("pytorch_model*.bin",), _STATES):
        found = sorted(path for pattern in patterns for path in folder.glob(pattern) if not _is_aside(path))
        if found:
            return found
    return []


def _is_aside(path: Path) -> bool:
    """Whether a file holds an adapter or a training's state rather than a model."""
    return path.name.startswith(
        ("adapter_model.", "optimizer.", "scheduler.", "scaler.", "rng_state", "training_args.")
    )


def _check_shards(index: Path) -> None:
    """Refuses an index that names files that are not there."""
    places = read_config(index).get("weight_map")
    names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
    if not names:
        raise FoundationError(f"{index} has no weight_map that names the files of weights; copy it again")
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise FoundationError(
            f"{index} names {len(names)} files of weights, and {', '.join(absent[:5])} "
            f"{'is' if len(absent) == 1 else 'are'} not there; copy or download what is missing"
        )


def unlike_configs(spec: CausalLmFoundation, base: CausalLmFoundation) -> tuple[str, ...]:
    """What config.json of two folders has in unequal values, except what says nothing of a model's answers."""
    one, other = (causal_source(each) for each in (spec, base))
    if one.name == other.name or not (one.is_folder and other.is_folder):
        return ()
    mine, theirs = (answering(read_config(Path(each.name) / "config.json")) for each in (one, other))
    return tuple(
        f"{key}: {mine.get(key)!r} where the base has {theirs.get(key)!r}"
        for key in sorted({*mine, *theirs})
        if mine.get(key) != theirs.get(key)
    )


def answering(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of config.json decides a model's answers."""
    return {key: value for key, value in config.items() if not _NO_ANSWERS.search(key)}
