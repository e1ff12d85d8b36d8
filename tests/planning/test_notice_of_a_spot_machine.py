"""A save beside the notice of a spot machine, on a real S3 server."""

import pytest
from s3_server import ENVIRONMENT, make_bucket, s3_server

from rayforget.commands.check import _saved
from rayforget.planning.saving import Saving, measure_saving
from rayforget.record.storage.store import Store


def test_a_storage_is_measured_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with s3_server() as port:
        make_bucket(port, "bucket")
        store = Store.open(f"s3://bucket/runs?scheme=http&endpoint_override=127.0.0.1:{port}")
        found = measure_saving(store, 10 * 2**20)
        assert 2**20 < found.bytes_per_s < 2**34
        assert found.seconds == pytest.approx(10 * 2**20 / found.bytes_per_s)
        assert store.files() == {}


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [(30, "(GCE): enough"), (10, "too long for GCE: what"), (5, "too long for AWS and GCE: what")],
)
def test_it_is_said_which_clouds_notice_is_too_short(rate: int, verdict: str) -> None:
    said = _saved(Saving(state_bytes=900, bytes_per_s=rate))
    assert f"900 bytes to go on from a step, {900 // rate} s at the {rate} bytes/s" in said
    assert "notice is 120 s (AWS) and 30 s (GCE): " in said
    assert verdict in said
