"""One cluster for all faults."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.hosts import lacking
from cluster.own_cluster import BUCKET, OwnCluster, own_cluster
from s3_server import ENVIRONMENT
from tiny_space import tiny_space


@pytest.fixture(scope="session")
def cluster() -> Iterator[OwnCluster]:
    """Three hosts that `ray up` made a cluster of."""
    if reason := lacking():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="rf-hosts-", dir="/var/tmp"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("AWS_", "RAY_"))]:
                patch.delenv(name)
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            with own_cluster(folder) as found:
                patch.syspath_prepend(found.folder / "site")
                yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def space_file(cluster: OwnCluster) -> Callable[..., Path]:
    """Writes the tiny space for two slots over the bucket, with some keys replaced; recipes do not depend on order.

    Its one method, but not the plain baseline, has trainings that take as long as `OwnCluster.pace` says.
    """
    make = tiny_space(cluster.folder / "tiny")

    def write(name: str, **changed: Any) -> Path:
        usual = {
            "storage": {"path": BUCKET},
            "search": {"trainings": 4, "seed": 0, "sampler": "random"},
            "methods": {"paced": {"penalties": [{"kind": "pace", "file": str(cluster.pace), "strength": 1}]}},
            "curve": {"coarse": [0, 0.5, 1], "refine": 0, "fractions": [0.5, 1.0]},
            "resources": {"slots": 2, "cpus_per_worker": 1, "checkpoint_every_s": 0.5},
        }
        path = cluster.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**make(Path()), **usual, **changed}))
        return path

    return write
