"""A file that is no space at all is refused by its name; test_messages.py has the mistakes inside of one."""

from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space.file.load import load_space


def test_a_nest_deeper_than_the_reader_goes_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("a: " + "[" * 1500)
    with pytest.raises(SpaceError, match=r"^[^\n]*space\.yaml: found lists or mappings nested deeper than 50"):
        load_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- 1", r"\[1\]"), ("word", "'word'")])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=rf"space\.yaml:1: found {found}; a space file is a mapping"):
        load_space(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"none\.yaml: no such file"):
        load_space(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match="cannot be read as text"):
        load_space(tmp_path / "space.yaml")
