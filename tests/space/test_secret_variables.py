"""What is secret in an address is known by its place, in whatever way it is written."""

import pytest

from rayforget.errors import SpaceError
from rayforget.space.file.document import read_document
from rayforget.space.file.overrides import override
from rayforget.space.file.secrets import has_written_secret, may_hold_secret, secret_variables, sounds_secret
from rayforget.space.file.variables import interpolate


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
