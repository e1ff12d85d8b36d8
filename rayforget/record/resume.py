"""What a running training needs to go on after its workers died <-> one file, replaced whole at every save."""

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch

from rayforget.record.store import Store

_STATE = "state.pt"


def save_resume(folder: Store, state: Mapping[str, Any]) -> None:
    """Replaces the training state in a trial's resume folder, written tensor by tensor."""

    def write(stream: BinaryIO) -> None:
        torch.save(dict(state), stream)

    folder.write_by(_STATE, write)


def load_resume(folder: Store) -> dict[str, Any] | None:
    """The last state that was saved whole, on CPU; None where there is none."""
    if not folder.exists(_STATE):
        return None
    source = io.BytesIO(folder.read(_STATE)) if folder.local is None else folder.local / _STATE
    state: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=True)
    return state
