"""A space's foundation and tasks -> a foundation ready to train and to be scored on this process's device."""

from pathlib import Path

import torch

from rayforget.foundations.kind import kind_of
from rayforget.foundations.protocol import Foundation
from rayforget.foundations.sharing import Share, keep_own
from rayforget.space.models import Space
from rayforget.tasks.opening import open_tasks


def prepare_foundation(space: Space, *, cache: Path, device: torch.device, share: Share = keep_own) -> Foundation:
    """Loads the model and opens the data; items come from `cache`, or into it; theta_0 lies where `share` puts it."""
    kind, tasks = kind_of(space.foundation), open_tasks(space.tasks)
    model = kind.load(space.foundation, device, share)
    return kind.with_tasks(model, space.foundation, tasks, cache=cache, resources=space.resources)
