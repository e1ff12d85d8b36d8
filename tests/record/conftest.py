"""Objects of the record with random scores, and a comparison that looks into arrays."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from obstore.store import MemoryStore
from s3_server import ENVIRONMENT, Door, make_bucket, s3_server

from rayforget.record.storage.remote_folder import RemoteFolder
from rayforget.record.storage.store import Store
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score


def make_score(rng: np.random.Generator, num_items: int, kind: str) -> Score:
    if kind == "bits":
        return Score(rule="accuracy", items=rng.random(num_items) < 0.6, items_hash=f"items{num_items}")
    items = rng.random(num_items).astype(np.float32)
    weights = rng.integers(1, 9, num_items).astype(np.float32) if kind == "weighted" else None
    return Score(rule="likelihood", items=items, weights=weights, items_hash=f"items{num_items}")


def make_record(
    *,
    trial: str = "0003-l2",
    step: int = 80,
    num_items: int = 9,
    kind: str = "bits",
    num_points: int = 3,
    seed: int = 0,
) -> CheckpointRecord:
    rng = np.random.default_rng(seed)
    points = tuple(
        Point(
            alpha=float(alpha),
            coarse=True,
            scores={name: make_score(rng, num_items, kind) for name in ("photo", "sketch")},
        )
        for alpha in np.linspace(0, 1, num_points)
    )
    return CheckpointRecord(
        trial=trial,
        step=step,
        fraction=1.0,
        status="ok",
        recipe={
            "method": "l2",
            "adapter": {"kind": "full"},
            "penalties": [{"kind": "l2", "strength": 0.1 + 0.2}],
            "learning_rate": 1e-5 / 3,
            "seed": 0,
        },
        asked={"fraction": 1.0, "alpha": 0.7},
        points=points,
        theta_0_hash="a" * 32,
        theta_1_hash="b" * 32,
        changed=("visual.proj", "visual.conv1.weight"),
        seconds={"train": 1.25, "evaluate": 2 / 3},
        facts={"final_loss": 0.1, "skipped_steps": 0},
        provenance={"seeds": {"train": 1}},
        finished=1.7e9 + 1 / 3,
    )


def assert_same(left: Any, right: Any) -> None:
    """Checks equality of every field, for arrays of type, shape and bytes."""
    if isinstance(left, np.ndarray):
        assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    elif hasattr(left, "__dataclass_fields__"):
        assert type(left) is type(right)
        for name in left.__dataclass_fields__:
            assert_same(getattr(left, name), getattr(right, name))
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert_same(value, right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right
        assert type(left) is type(right)


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., CheckpointRecord]:
    return make_record


@pytest.fixture(name="make_score")
def make_score_fixture() -> Callable[..., Score]:
    return make_score


@pytest.fixture(name="assert_same")
def assert_same_fixture() -> Callable[[Any, Any], None]:
    return assert_same


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def bucket(s3_port, monkeypatch) -> str:
    """A new bucket's name."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    name = f"b{secrets.token_hex(6)}"
    make_bucket(s3_port, name)
    return name


@pytest.fixture
def s3_uri(s3_port, bucket) -> str:
    """A folder in that bucket."""
    return f"s3://{bucket}/runs?scheme=http&endpoint_override=127.0.0.1:{s3_port}"


@pytest.fixture
def s3(s3_uri) -> Store:
    return Store.open(s3_uri)


@pytest.fixture
def door(s3_port) -> Iterator[Door]:
    with Door(s3_port) as door:
        yield door


@pytest.fixture
def s3_behind_door(door, bucket) -> Store:
    """The bucket's folder, accessed through the door."""
    return Store.open(f"s3://{bucket}/runs?scheme=http&endpoint_override=127.0.0.1:{door.port}")


@pytest.fixture(params=["local", "memory", "s3"])
def storage(request, tmp_path):
    if request.param == "local":
        return Store.open(tmp_path)
    if request.param == "memory":
        return Store(RemoteFolder(MemoryStore(), "", "memory://bucket"))
    return request.getfixturevalue("s3")
