"""A space's foundation and tasks -> a foundation ready for training and scoring on this process's device."""

from pathlib import Path

import torch

from rayforget.foundations.kind import kind_of
from rayforget.foundations.protocol import Foundation
from rayforget.foundations.sharing import Share, keep_own
from rayforget.space.models import Space
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.opening import Opened, open_tasks


def prepare_foundation(
    space: Space, *, cache: Path, device: torch.device, share: Share = keep_own, tasks: Opened | None = None
) -> Foundation:
    """Loads the model, and opens the data unless `tasks` are given; items are cached in `cache`; `share` decides where
    theta_0 lies."""
    kind = kind_of(space.foundation)
    if tasks is None:
        tasks = open_tasks(space.tasks, cache=cache, hashes=HashStore.in_cache(cache))
    model = kind.load(space.foundation, device, share)
    return kind.with_tasks(model, space.foundation, tasks, cache=cache, resources=space.resources)
