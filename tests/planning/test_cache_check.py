"""A cache that cannot be a folder is one message with its line, before anything is written."""

from pathlib import Path

import pytest
from planning.test_foundation_check import CLIP
from typer.testing import CliRunner

from rayforget.cli import app
from rayforget.errors import SpaceError
from rayforget.planning.cache_check import check_cache
from rayforget.space.file.load import load_space


def space_with(folder: Path, cache: Path) -> Path:
    path = folder / "space.yaml"
    path.write_text(CLIP.replace("MODEL", "builtin").replace("TARGETS", "null") + f"resources: {{cache: {cache}}}\n")
    return path


@pytest.mark.parametrize("cache", [".", "there", "new/deep"])
def test_a_folder_that_is_there_or_can_be_made_passes(tmp_path: Path, cache: str) -> None:
    (tmp_path / "there").mkdir()
    check_cache(load_space(space_with(tmp_path, tmp_path / cache)))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("cache", ["file", "file/deep/er", "loop"])
@pytest.mark.parametrize("command", ["check", "sweep"])
def test_a_file_in_its_place_or_above_it_is_told(tmp_path: Path, cache: str, command: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    options = ["--storage", str(tmp_path / "runs")] if command == "sweep" else ["--no-probe"]
    found = CliRunner().invoke(app, [command, str(space_with(tmp_path, tmp_path / cache)), *options]).exception
    assert isinstance(found, SpaceError)
    assert str(found).startswith(f"{tmp_path}/space.yaml:25: resources.cache: found {tmp_path}/{cache}, ")
    assert "is no folder" in str(found)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(SpaceError, match=rf"found {tmp_path}/new, and {tmp_path} may not be written to"):
        check_cache(load_space(space_with(tmp_path, tmp_path / "new")))
