"""A URI opens what it opened with pyarrow: endpoints, regions and credentials from where AWS's tools find them."""

import sys

import pytest

from rayforget.errors import RecordError
from rayforget.record.storage.aws_profile import profile_credentials
from rayforget.record.storage.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without credentials, in an environment without any."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_endpoint_may_stand_in_the_environment(s3_port, bucket, monkeypatch, variable):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{s3_port}")
    store = Store.open(f"s3://{bucket}/runs")
    store.write("a", b"1")
    assert Store.open(f"s3://{bucket}").files("runs") == {"a": 1}


@pytest.mark.parametrize(
    "endpoint", ["scheme=http&endpoint_override=127.0.0.1:{}", "endpoint_override=http://127.0.0.1:{}"]
)
def test_the_endpoint_may_stand_in_the_uri_and_keys_before_the_bucket(s3_port, bucket, home, endpoint):
    store = Store.open(f"s3://key:se%2Fcret@{bucket}/runs?region=eu-north-1&{endpoint.format(s3_port)}")
    store.write("a", b"1")
    assert store.read("a") == b"1"
    assert "cret" not in str(store)
    assert Store.open(store.within("b").location).exists("a") is False


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("s3://bucket/runs?regin=eu", "has a setting regin; expected some of: allow_bucket_creation"),
        ("s3:///runs", "expected a local folder, s3://"),
        ("gs://bucket/x?region=eu", "has a setting region; expected some of: endpoint_override, scheme"),
        ("hdfs://host/x", "expected a local folder, s3://"),
    ],
)
def test_a_uri_that_says_what_cannot_be_is_refused(uri, found):
    with pytest.raises(RecordError, match=found):
        Store.open(uri)


def test_gcs_and_azure_open_without_asking_anybody(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert str(Store.open("gs://anonymous@bucket/runs").within("a")) == "gs://bucket/runs/a"
    azure = "abfs://container@account.dfs.core.windows.net/runs"
    assert Store.open(azure).within("a").location == f"{azure}/a"


def test_plain_keys_of_a_profile_are_taken(home, monkeypatch):
    assert profile_credentials() == {}
    (home / "credentials").write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
        "[other]\naws_access_key_id = c\naws_secret_access_key = d\naws_session_token = e\n"
    )
    assert profile_credentials() == {"access_key_id": "a", "secret_access_key": "b"}
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert profile_credentials() == {"access_key_id": "c", "secret_access_key": "d", "session_token": "e"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "f")  # the environment takes precedence, as in AWS's own tools
    assert profile_credentials() == {}


def test_a_profile_that_asks_elsewhere_is_read_by_boto3_or_says_that_it_takes_it(home, monkeypatch):
    (home / "config").write_text(f"[profile work]\ncredential_process = {sys.executable} {home}/keys.py\n")
    (home / "keys.py").write_text('print(\'{"Version": 1, "AccessKeyId": "k", "SecretAccessKey": "s"}\')')
    monkeypatch.setenv("AWS_PROFILE", "work")
    provider = profile_credentials()["credential_provider"]
    assert (provider()["access_key_id"], provider()["secret_access_key"]) == ("k", "s")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecordError, match=r"AWS profile work has no plain keys .* install boto3"):
        profile_credentials()
