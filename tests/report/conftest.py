"""An MLflow store for each test."""

import shutil
from pathlib import Path

import pytest
from mirrored import make_view

from rayforget.record.storage.store import Store
from rayforget.report.mlflow.mirror import mirror
from rayforget.report.mlflow.tracking import Tracking, find_tracking


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """MLflow needs seconds to set up a database; the tests copy this one, which holds an older sweep of the same name
    in another experiment."""
    storage = Store.open(tmp_path_factory.mktemp("empty"))
    tracking = find_tracking(None, storage)
    mirror(make_view(trials=1, name="other", space_name="other", created=980.0), tracking)
    assert storage.local is not None
    return storage.local / "mlflow.db"


@pytest.fixture
def tracking(empty_database, tmp_path, monkeypatch) -> Tracking:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return find_tracking(None, Store.open(tmp_path))
