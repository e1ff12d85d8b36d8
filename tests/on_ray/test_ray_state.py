"""Ray's own state touches neither the sweep's storage nor any disk."""

import pickle
import uuid
from pathlib import Path

from ray.train.v2._internal.execution.storage import StorageContext

from rayforget.on_ray.ray_state import IN_MEMORY


def test_ray_train_finds_its_own_mark_and_leaves_no_file(tmp_path: Path) -> None:
    folder = f"{tmp_path}/ray"
    context = StorageContext(
        storage_path=folder,
        experiment_dir_name=uuid.uuid4().hex,
        storage_filesystem=pickle.loads(pickle.dumps(IN_MEMORY)),
    )
    context._check_validation_file()
    assert not list(tmp_path.iterdir())
