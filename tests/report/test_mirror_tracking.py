"""Where the mirror is, before MLflow is asked."""

import subprocess
import sys

import pytest
from obstore.store import MemoryStore

from rayforget.record.remote_folder import RemoteFolder
from rayforget.record.store import Store
from rayforget.report.mlflow.mirror import MirrorError, Tracking, find_tracking


def test_tracking_prefers_the_space_then_the_environment_then_sqlite(tmp_path, monkeypatch):
    storage = Store.open(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert find_tracking("https://other", storage) == Tracking(uri="https://other", artifacts=None)
    assert find_tracking(None, storage) == Tracking(uri="http://server:5000", artifacts=None)
    assert find_tracking("postgresql://u:p@h/db", storage).artifacts == (tmp_path / "mlartifacts").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert find_tracking(None, storage).uri == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert find_tracking(None, storage).uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_sqlite_is_refused_in_remote_storage(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    remote = Store(RemoteFolder(MemoryStore(), "runs", "memory://bucket"))
    with pytest.raises(MirrorError, match="SQLite cannot live in memory://bucket/runs"):
        find_tracking(None, remote)


def test_importing_the_mirror_does_not_import_mlflow():
    script = "import sys, rayforget.report.mlflow.mirror\nprint('mlflow' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
