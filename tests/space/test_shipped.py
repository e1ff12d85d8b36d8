"""The space files that come with rayforget are found, and pass every check that needs no data."""

from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space import shipped as module
from rayforget.space.file.load import load_space
from rayforget.space.file.notes import notes
from rayforget.space.shipped import quickstart, shipped, shipped_names


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_space_is_valid_and_needs_no_excuse(name: str) -> None:
    loaded = load_space(shipped(name))
    assert loaded.space.name == name
    assert notes(loaded) == ()


def test_pacs_compares_six_methods_with_four_trainings_each() -> None:
    loaded = load_space(shipped("pacs"), ["vars.shared=/data"])
    assert len(loaded.methods) == 6
    assert loaded.space.search.trainings == 24
    assert loaded.space.foundation.model == "local-dir:/data/data/clip_real"


def test_an_installed_wheel_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = tmp_path / "site-packages" / "rayforget" / "search_spaces"
    spaces.mkdir(parents=True)
    (spaces / "quickstart.yaml").touch()
    monkeypatch.setattr(module, "__file__", str(spaces.parent / "space" / "shipped.py"))
    assert quickstart() == spaces / "quickstart.yaml"
    assert shipped_names() == ("quickstart",)
    with pytest.raises(SpaceError, match="no shipped space is called 'pacs'; there are: quickstart"):
        shipped("pacs")


def test_an_installation_without_spaces_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "rayforget" / "space" / "shipped.py"))
    with pytest.raises(SpaceError, match="install rayforget again"):
        shipped_names()
