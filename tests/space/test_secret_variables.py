"""What is secret in an address is known by its place, in whatever way it is written."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from rayforget.errors import SpaceError
from rayforget.space.file.document import read_document
from rayforget.space.file.overrides import override
from rayforget.space.file.secrets import has_written_secret, may_hold_secret, secret_variables, sounds_secret
from rayforget.space.file.variables import interpolate
from rayforget.space.paths import DataPlace, FolderOrHubName, LocalPath


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_PW",
        "MLFLOW_TRACKING_PASSWORD",
        "PGPASSWORD",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "apiKey",
        "DB_PASS2",
        "AccountKey",
        "bearer",
        "SESSION_COOKIE",
        "passcode",
    ],
)
def test_names_of_secrets_sound_so(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize("name", ["TOKENIZER", "KEYBOARD", "AUTHOR", "COMPASS", "DATA", "MONKEY_FOLDER", "PASSAGES"])
def test_other_names_do_not(name: str) -> None:
    assert not sounds_secret(name)


@pytest.mark.parametrize(
    ("address", "written", "variables"),
    [
        ("http://h:5000/mlflow", False, set()),
        ("http://me@h", False, set()),
        ("http://me:s3cret@h", True, set()),
        ("http://me:s3/cr@t@h", True, set()),
        ("http://me:${PW}@h:${PORT}", False, {"PW"}),
        ("http://${ME}:${PW:-s3cret}@${H}", True, {"ME", "PW"}),
        ("http://${ME}:${PW:-}@h/${P}", False, {"ME", "PW"}),
        ("postgresql://h/db?user=me&password=s3cret", True, set()),
        ("postgresql://${H}/db?user=${ME}&sslpassword=${PW}", False, {"PW"}),
        ("http://h:5000/a@b", False, set()),
        ("http://[::1]:${PORT:-5000}/${A}@b", False, set()),
        ("sqlite:////home/me@work:5/mlflow.db", False, set()),
        ("${URI}", False, set()),
    ],
)
def test_a_password_is_found_where_an_address_has_it(address: str, written: bool, variables: set[str]) -> None:
    assert has_written_secret(address) is written
    assert secret_variables(address) == variables


def test_a_variable_that_is_an_address_with_a_user_may_hold_a_secret() -> None:
    assert may_hold_secret("https://token@h/x")
    assert may_hold_secret("postgresql://h/db?password=x")
    assert not may_hold_secret("https://h:1/x?y=z")
    assert not may_hold_secret("me@h")


@pytest.mark.parametrize(
    ("text", "options", "where"),
    [
        ("tracking: {uri: 'http://me:s3cret@h'}", [], "x:1: "),
        ("a: 1\ntracking: {uri: 'http://me:${pw}@h'}\nvars: {pw: s3cret}", [], "x:2: "),
        ("tracking: {uri: 'http://me:${PW:-s3cret}@h'}", [], "x:1: "),
        ("a: 1", ["tracking.uri=http://me:s3cret@h"], "--set tracking.uri: "),
    ],
)
def test_a_password_in_the_mirrors_address_is_refused_and_not_repeated(
    text: str, options: list[str], where: str
) -> None:
    with pytest.raises(SpaceError) as raised:
        interpolate(override(read_document(text, "x"), options), {})
    said = str(raised.value)
    assert said.startswith(f"{where}tracking.uri: found a password that is written out")
    assert "${MLFLOW_PASSWORD}" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("tracking: {uri: 'http://u:s3cr${et@h'}", []),
        ("a: 1", ["tracking.uri=http://u:s3cr${et@h"]),
        ("tracking: {uri: 'http://u:${pw}@h'}\nvars: {pw: 's3cr${et'}", []),
    ],
)
def test_a_malformed_variable_in_a_password_is_not_repeated(text: str, options: list[str]) -> None:
    with pytest.raises(SpaceError, match="a variable is written") as raised:
        interpolate(override(read_document(text, "x"), options), {})
    assert "s3cr" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("tasks: {s: {prompt: 'x ${HF_TOKEN}'}}", "HF_TOKEN"),
        ("vars: {t: '${HF_TOKEN}'}\na: [{b: '${t}'}]", "HF_TOKEN"),
        ("a: '${HF_TOKEN:-none}'", "HF_TOKEN"),
        ("a: '${DATA}/x.tar'", "DATA"),
    ],
)
def test_a_secret_of_the_environment_is_refused_where_no_key_takes_one(text: str, variable: str) -> None:
    environment = {"HF_TOKEN": "s3cret", "DATA": "https://me:s3cret@h"}
    with pytest.raises(SpaceError, match=rf"^x:\d: .*found \$\{{{variable}\}}, .*is recorded") as raised:
        interpolate(read_document(text, "x"), environment)
    assert "s3cret" not in str(raised.value)


def test_what_is_no_secret_of_the_environment_is_taken_whatever_its_name(tmp_path: Path) -> None:
    """A folder, a name of the file's own, a default, and the keys of a storage, which its record leaves out."""
    text = "vars: {key: photo}\na: ['${TOKEN_DATA}', '${key}', '${HF_TOKEN:-x}']\nstorage: {path: 's3://${K_KEY}@b'}"
    tree = interpolate(read_document(text, "x"), {"TOKEN_DATA": str(tmp_path), "K_KEY": "me:s3cret"}).tree
    assert tree["a"] == [str(tmp_path), "photo", "x"]
    assert tree["storage"] == {"path": "s3://me:s3cret@b"}


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://me:s3cret@h/x.tar", "https://h/x.tar"),
        ("https://h/x.tar?token=s3cret", "https://h/x.tar"),
        ("https://h/x.tar?version=2", "https://h/x.tar?version=2"),
    ],
)
@pytest.mark.parametrize("kind", [LocalPath, DataPlace, FolderOrHubName])
def test_an_address_that_cannot_be_read_is_refused_without_its_password(kind: Any, address: str, public: str) -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(address)
    (error,) = raised.value.errors()
    assert error["msg"].startswith(f"found {public}, expected a path")
    assert error["msg"].endswith("; download what is there first")


def test_where_only_a_path_will_do_no_address_is_taken() -> None:
    with pytest.raises(ValidationError, match=r"found s3://bucket/a\.tar, expected a path of"):
        TypeAdapter(LocalPath).validate_python("s3://bucket/a.tar")
