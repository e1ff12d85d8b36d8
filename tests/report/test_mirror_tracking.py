"""Where the mirror is, before MLflow is asked."""

import subprocess
import sys

import pytest
from obstore.store import MemoryStore

from rayforget.record.storage.remote_folder import RemoteFolder
from rayforget.record.storage.store import Store
from rayforget.report.mlflow.tracking import MirrorError, Tracking, find_tracking, without_secrets


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


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("http://server:5000/mlflow", "http://server:5000/mlflow"),
        ("http://me:s3cret@server:5000/mlflow", "http://server:5000"),
        ("https://s3cret@server", "https://server"),
        ("postgresql+psycopg2://u:s3cret@[::1]:5432/db?sslpassword=s3cret#s3cret", "postgresql+psycopg2://[::1]:5432"),
        ("mysql://h/db?password=s3cret", "mysql://h"),
        ("mysql://h/db?password=s3@s3cret", "mysql://***"),
        ("mysql://u:s3@s3cret@h/db", "mysql://***"),
        ("mysql://u:s3/s3cret@h/db", "mysql://***"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_people_see_the_host_and_no_secret(uri, name):
    assert Tracking(uri=uri, artifacts=None).name == name
    said = without_secrets(f"cannot connect to {uri} (retried)", uri)
    assert said == f"cannot connect to {name} (retried)"
    assert "s3" not in said


def test_a_recorded_variable_is_read_when_the_mirror_is_asked_for(tmp_path, monkeypatch):
    storage = Store.open(tmp_path)
    monkeypatch.setenv("MLFLOW_PW", "s3cret")
    assert find_tracking("http://me:${MLFLOW_PW}@h:${PORT:-5000}", storage).uri == "http://me:s3cret@h:5000"
    monkeypatch.delenv("MLFLOW_PW")
    with pytest.raises(
        MirrorError, match=r"tracking.uri of the space: reads \$\{MLFLOW_PW\}, which is not set here; set it"
    ):
        find_tracking("http://me:${MLFLOW_PW}@h", storage)
