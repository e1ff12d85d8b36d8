"""A space's foundation and tasks -> a foundation ready to train and to be scored on this process's device."""

from pathlib import Path

import torch

from rayforget.foundations.protocol import Foundation
from rayforget.foundations.sharing import Share, keep_own
from rayforget.space.models import CausalLmFoundation, ClipFoundation, Space
from rayforget.space.tasks import image_tasks


def prepare_foundation(space: Space, *, cache: Path, device: torch.device, share: Share = keep_own) -> Foundation:
    """Loads the model and the decoded sets (from `cache`, or into it); theta_0 lies where `share` puts it."""
    match space.foundation:
        case ClipFoundation() as spec:
            from rayforget.foundations.clip.prepared import prepare_clip
            from rayforget.tasks.resolve import resolve_tasks

            return prepare_clip(
                spec,
                resolve_tasks(image_tasks(space.tasks)),
                cache=cache,
                device=device,
                evaluation_batch=space.resources.evaluation_batch,
                share=share,
            )
        case CausalLmFoundation() as spec:
            from rayforget.foundations.causal_lm.prepared import prepare_causal_lm
            from rayforget.tasks.text.resolve import resolve_text_tasks

            return prepare_causal_lm(
                spec,
                resolve_text_tasks(space.tasks),
                cache=cache,
                device=device,
                batch_tokens=space.resources.evaluation_tokens,
                share=share,
                sharded=space.resources.sharding == "fsdp",
            )
