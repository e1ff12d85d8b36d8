"""A language model's own files -> the same files in another folder: tokenizer, chat template, settings, unchanged."""

import json
import shutil
from pathlib import Path
from typing import Any

from rayforget.foundations.causal_lm.source import CausalSource
from rayforget.foundations.model_folder import read_config

CONFIG, GENERATION = "config.json", "generation_config.json"
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "*.model", "*.tiktoken"),
    *("chat_template.jinja", "chat_template.json", "additional_chat_templates/*"),
)
_MODEL = (GENERATION, "processor_config.json", "preprocessor_config.json", "*.py", "LICENSE*", "NOTICE*")
_DTYPES = ("dtype", "torch_dtype")


def model_folder(source: CausalSource) -> Path:
    """The folder with the model's settings: the space's, or the hub's cache."""
    return _folder(source.name, source, (CONFIG, *_MODEL))


def carry(source: CausalSource, folder: Path, dtype: str, *, unties: bool = False) -> None:
    """Copies tokenizer, chat template, generation settings and code byte for byte, and config.json but for its type.

    What `folder` has and the source has not is deleted: the library writes settings of its own beside weights.

    Args:
        source: the foundation.
        folder: where the library has written the weights.
        dtype: `bfloat16` and the like.
        unties: whether config.json says that the output layer shares the embedding's weights, and it does not: a file
            or an adapter has brought another. Programs that believe it would drop the output layer.
    """
    own = model_folder(source)
    for name in (GENERATION, *(path.name for path in folder.glob("*.py"))):
        (folder / name).unlink(missing_ok=True)
    _copy(own, _MODEL, folder)
    _copy(_folder(source.tokenizer, source, _TOKENIZER), _TOKENIZER, folder)
    config = {"dtype": dtype, **read_config(own / CONFIG)}
    if "torch_dtype" in config:
        del config["dtype"]
    if unties:
        config["tie_word_embeddings"] = False
    (folder / CONFIG).write_text(json.dumps(_of_type(config, dtype), indent=2) + "\n", encoding="utf-8")


def _of_type(config: Any, dtype: str) -> Any:
    """The settings with another type of weights, in those nested in them too."""
    if not isinstance(config, dict):
        return config
    return {key: dtype if key in _DTYPES else _of_type(value, dtype) for key, value in config.items()}


def _folder(name: str, source: CausalSource, patterns: tuple[str, ...]) -> Path:
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=source.revision, allow_patterns=list(patterns)))


def _copy(own: Path, patterns: tuple[str, ...], folder: Path) -> None:
    for pattern in patterns:
        for path in sorted(own.glob(pattern)):
            if path.is_file():
                target = folder / path.relative_to(own)
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)
