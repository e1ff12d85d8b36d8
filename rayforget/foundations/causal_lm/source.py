"""What a space calls a language model -> what transformers is asked for; mistakes are found before anything loads."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.model_folder import read_config, refuse_empty
from rayforget.space.paths import LOCAL_FOLDER, is_hub_name

_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth")
CONVERSION = (
    'convert it once, on a machine that you can lose: python -c "from transformers import AutoModelForCausalLM as M; '
    "M.from_pretrained('{name}', use_safetensors=False).save_pretrained('FOLDER')\" (and save its tokenizer there too)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalSource:
    """The arguments of transformers' `from_pretrained`."""

    name: str
    """A folder, or a name on the hub."""
    revision: str | None
    trust_remote_code: bool
    is_folder: bool


def causal_source(spec: CausalLmFoundation) -> CausalSource:
    """Resolves `builtin` and looks a folder through.

    Raises:
        FoundationError: the folder is not there, or holds no config.json, or weights that would run code when loaded.
    """
    name = str(files("rayforget.builtin.language") / "weights") if spec.model == "builtin" else spec.model
    folder = Path(name)
    if folder.is_absolute():
        _check_folder(folder)
    elif name.startswith(LOCAL_FOLDER):
        raise FoundationError(
            f"foundation.model: found {name!r}, and {LOCAL_FOLDER} is for CLIP models; write the folder alone: "
            f"{name.removeprefix(LOCAL_FOLDER)}"
        )
    elif not is_hub_name(name, owned=False):
        raise FoundationError(
            f"foundation.model: found {name!r}, neither a folder nor a name on the hub; write a folder or OWNER/NAME"
        )
    return CausalSource(
        name=name,
        revision=spec.revision,
        trust_remote_code=spec.trust_remote_code,
        is_folder=folder.is_absolute(),
    )


def _check_folder(folder: Path) -> None:
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
    weights = list(folder.glob("*.safetensors"))
    if weights:
        refuse_empty(weights)
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise FoundationError(
            f"{folder} holds {pickles[0]} and no safetensors; a pickle runs whatever code it brings when it is loaded, "
            f"so it is refused: {CONVERSION.format(name=folder)}"
        )
    raise FoundationError(f"{folder} has no *.safetensors; a model's folder is what `save_pretrained` writes")
