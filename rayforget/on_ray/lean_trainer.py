"""Ray Train's trainer without processes that a slot has no use for: each takes seconds of CPU to start, per slot."""

from typing import Any

from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


class LeanTrainer(DataParallelTrainer):
    """Without the manager of Ray Data's shards, since workers read their data themselves, and without the cleaner of
    placement groups, which knows of one only when all workers have started: `placement.remove_orphaned_groups` does.
    """

    def _create_default_callbacks(self) -> list[Any]:
        unused = DatasetsCallback | PlacementGroupCleanerCallback
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, unused)]
