"""All that is said of a space file's mistakes, and of what may not be meant, is as the golden texts have it."""

import re
from pathlib import Path

import golden_text
import pytest

from rayforget.errors import SpaceError
from rayforget.space.file.elsewhere import check_elsewhere
from rayforget.space.file.load import load_space
from rayforget.space.file.notes import notes

CHANGE = re.compile(r" *(\d*)\|(.*)")


def changed(text: str, changes: list[str]) -> str:
    """The text with the numbered lines put in place of its own, or below its end."""
    lines = dict(enumerate(text.splitlines(), 1))
    number = 0
    for before, line in (CHANGE.fullmatch(change).groups() for change in changes):
        number = int(before or number)
        lines[number] = line if before else f"{lines[number]}\n{line}"
    return "".join(f"{line}\n" for line in lines.values())


def told(path: Path, options: list[str]) -> str:
    """What is said of the space: its mistakes, else its notes."""
    overrides = [option.removeprefix("--set ") for option in options if option.startswith("--set ")]
    try:
        loaded = load_space(path, overrides)
        if any(option.startswith("--address ") for option in options):
            check_elsewhere(loaded, paths_on_cluster="--paths-on-cluster" in options)
    except SpaceError as error:
        return str(error)
    return "\n".join(f"note: {note}" for note in notes(loaded)) or "nothing"


@pytest.mark.parametrize(("family", "space"), [("image_spaces", "small.yaml"), ("text_spaces", "small_text.yaml")])
def test_what_is_said_of_a_space_is_as_it_is_kept(
    family: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, path = (Path(__file__).parent / space).read_text(), tmp_path / "space.yaml"
    said = {}
    for case, lines in golden_text.read(family).items():
        given = [line for line in lines if not line.startswith("> ")]
        options = [line for line in given if line.startswith("--")]
        path.write_text(changed(text, [line for line in given if line not in options]))
        found = told(path, options).replace(f"{tmp_path}/", "DIR/").splitlines()
        said[case] = [*given, *(f"> {line}" for line in found)]
    golden_text.compare(family, said)
