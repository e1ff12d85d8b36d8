"""A space's foundation and tasks -> a foundation ready to train and to be scored on this process's device."""

from pathlib import Path

import torch

from rayforget.foundations.protocol import Foundation
from rayforget.space.models import ClipFoundation, Space
from rayforget.tasks.resolve import resolve_tasks


def prepare_foundation(space: Space, *, cache: Path, device: torch.device) -> Foundation:
    """Loads the model and the decoded sets (from `cache`, or into it)."""
    match space.foundation:
        case ClipFoundation() as spec:
            from rayforget.foundations.clip_prepared import prepare_clip

            return prepare_clip(
                spec,
                resolve_tasks(space.tasks),
                cache=cache,
                device=device,
                evaluation_batch=space.resources.evaluation_batch,
            )
