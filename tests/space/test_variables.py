"""Variables of the file and of the environment are replaced in strings."""

from typing import Any

import pytest

from rayforget.errors import SpaceError
from rayforget.space.file.document import read_document
from rayforget.space.file.variables import fill, interpolate

ENVIRONMENT = {"HOME": "/home/me", "EMPTY": "", "both": "outside"}


def _read(text: str) -> Any:
    return interpolate(read_document(text, "x"), ENVIRONMENT).tree


def test_a_variable_of_the_file_comes_before_the_environment() -> None:
    assert _read("vars: {both: inside}\na: [{b: '${both}/x/${both}'}]")["a"] == [{"b": "inside/x/inside"}]


def test_a_variable_may_read_the_environment() -> None:
    assert _read("vars: {both: '${both}/${HOME}'}\na: ${both}")["a"] == "outside//home/me"


@pytest.mark.parametrize("name", ["UNSET", "EMPTY"])
def test_a_default_stands_in_for_what_is_unset_or_empty(name: str) -> None:
    assert _read(f"a: ${{{name}:-../x y}}")["a"] == "../x y"
    assert _read(f"a: z${{{name}:-}}")["a"] == "z"


def test_a_default_is_not_used_when_there_is_a_value() -> None:
    assert _read("a: ${HOME:-/nowhere}")["a"] == "/home/me"


def test_what_is_replaced_stays_text() -> None:
    assert _read("vars: {n: '5'}\na: ${n}")["a"] == "5"


def test_what_is_no_variable_is_left_alone() -> None:
    assert _read("a: 'x-{000..012}.tar $HOME {}'")["a"] == "x-{000..012}.tar $HOME {}"


def test_what_the_environment_gives_to_the_mirrors_address_is_not_in_what_is_recorded() -> None:
    text = "vars: {pw: '${MLFLOW_PW}', host: h}\ntracking: {uri: 'http://me:${pw}@${host}:${PORT:-5000}'}\na: '${host}'"
    environment = {"MLFLOW_PW": "s3cret"}
    tree = interpolate(read_document(text, "x"), environment).tree
    assert tree == {
        "vars": {"pw": "${MLFLOW_PW}", "host": "h"},
        "tracking": {"uri": "http://me:${MLFLOW_PW}@h:${PORT:-5000}"},
        "a": "h",
    }
    assert fill(tree["tracking"]["uri"], environment) == "http://me:s3cret@h:5000"
    with pytest.raises(SpaceError, match=r"tracking.uri: found \$\{MLFLOW_PW\}, which is set neither"):
        interpolate(read_document("tracking: {uri: 'http://me:${MLFLOW_PW}@h'}", "x"), {})
