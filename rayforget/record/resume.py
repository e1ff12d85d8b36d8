"""What a running training needs to go on after its workers died <-> one file, replaced whole at every save."""

import io
from collections.abc import Mapping
from typing import Any

import torch

from rayforget.record.store import Store

_STATE = "state.pt"


def save_resume(folder: Store, state: Mapping[str, Any]) -> None:
    """Replaces the training state in a trial's resume folder."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    folder.write(_STATE, buffer.getvalue())


def load_resume(folder: Store) -> dict[str, Any] | None:
    """The last state that was saved whole, on CPU; None where there is none."""
    if not folder.exists(_STATE):
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(folder.read(_STATE)), map_location="cpu", weights_only=True)
    return state
