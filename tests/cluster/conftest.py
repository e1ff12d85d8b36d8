"""One cluster for all faults, and the sweep that nothing disturbed."""

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
                yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_driver_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a failed test left running does not run beside the next."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").kill_driver()


@pytest.fixture(scope="session")
def space_file(cluster: OwnCluster) -> Callable[..., Path]:
    """Writes the tiny space for two slots over the bucket, with some keys replaced; recipes do not depend on order."""
    make = tiny_space(cluster.folder / "tiny")

    def write(name: str, **changed: Any) -> Path:
        usual = {
            "storage": {"path": BUCKET},
            "search": {"trainings": 4, "seed": 0, "sampler": "random"},
            "recipe": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "epochs": 40, "batch_size": 8},
            "resources": {"slots": 2, "cpus_per_worker": 1, "checkpoint_every_s": 0.5},
        }
        path = cluster.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**make(Path()), **usual, **changed}))
        return path

    return write


@pytest.fixture(scope="session")
def undisturbed(cluster: OwnCluster, space_file: Callable[..., Path]) -> dict[str, Any]:
    """The points of a sweep that nothing disturbed."""
    cluster.sweep(str(space_file("plain")), "--name", "plain", name="plain").finish()
    return cluster.points("plain")
