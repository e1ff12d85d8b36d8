"""Files that torch pickled -> their tensors, read without running any code, or the reason why that cannot be.

`torch.load(weights_only=True)` builds tensors, numbers, texts, lists and dicts, and refuses everything else that a
pickle may ask for. So such files are loaded like safetensors, and only what torch refuses is refused, with its reason.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayforget.errors import FoundationError

_NESTED = ("state_dict", "model_state_dict", "model")
"""Keys below which training scripts save the weights beside their optimiser's state."""
_GLOBAL = re.compile(r"GLOBAL (\S+)")
_REASON = re.compile(r"WeightsUnpickler error:\s*(.+?)(?:\s*Please use|\s*Check the documentation|$)", re.DOTALL)


def pickled_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of `torch.save`, by name; those of a zip archive stay on the disk until they are used.

    Raises:
        FoundationError: the file holds more than tensors and plain values, or no tensors.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise FoundationError(refusal(error, path) or f"torch cannot read {path}: {error}; copy it again") from error
    for key in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    named = found if isinstance(found, Mapping) else {}
    tensors = {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        raise FoundationError(
            f"{path} holds {type(found).__name__} without tensors by name; expected a dict of tensors by name"
        )
    return tensors


def refusal(error: BaseException, path: Path | str) -> str | None:
    """Why torch refuses the pickle, in full, and the way out; None if the error says something else.

    Args:
        error: what loading with weights_only=True raised.
        path: the file, or the folder with it.
    """
    text = str(error)
    if "TorchScript" in text:
        return (
            f"{path} is a TorchScript archive: it holds code that would run when it is loaded, so it is refused; where "
            'you trust it, save its weights alone: python -c "import torch; '
            "torch.save(torch.jit.load('FILE').state_dict(), 'NEW_FILE')\""
        )
    reason = _REASON.search(text)
    if "Weights only load failed" not in text or reason is None:
        return None
    what, asked = " ".join(reason[1].split()), _GLOBAL.search(text)
    name = asked[1] if asked else ""
    kind = (
        "it holds numpy values beside its tensors"
        if name.startswith("numpy")
        else "it is a whole Python object rather than tensors by name"
        if name
        else "it holds more than tensors"
    )
    return (
        f"{path} can only be read by running what it brings, so it is refused: {kind} (torch's reason: {what}); where "
        "you trust it, save its weights alone: python -c \"import torch; x = torch.load('FILE', weights_only=False); "
        "x = x.state_dict() if hasattr(x, 'state_dict') else x.get('state_dict', x); "
        "torch.save({k: v for k, v in x.items() if torch.is_tensor(v)}, 'NEW_FILE')\""
    )
