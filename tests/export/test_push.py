"""An exported folder is uploaded whole, and the token is in no message."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, hub_server

from rayforget.errors import FoundationError, SpaceError, StorageError
from rayforget.export.push import check_name, push_folder, refuse_local_base
from rayforget.foundations.causal_lm.config import CausalLmFoundation

TOKEN = "hf_secretsecretsecret"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with a file that goes another way than the small ones, and one below."""
    (tmp_path / "README.md").write_text("---\nlibrary_name: open_clip\n---\n")
    (tmp_path / "open_clip_model.safetensors").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    return tmp_path


def test_every_file_arrives_as_it_is(hub: Hub, folder: Path) -> None:
    address = push_folder(folder, "me/model", private=True)
    assert address == f"{hub.address}/me/model"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert hub.files == files
    assert [(each["name"], each["organization"], each["visibility"]) for each in hub.made] == [
        ("model", "me", "private")
    ]
    assert hub.tokens == {f"Bearer {TOKEN}"}


def test_a_refusal_is_told_without_the_token(hub: Hub, folder: Path) -> None:
    hub.refusal = (403, f"token {TOKEN} may not write")
    with pytest.raises(StorageError, match=r"--push: me/model cannot be uploaded .*hf auth login") as caught:
        push_folder(folder, "me/model", private=False)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "may not write" in str(caught.value)


def test_a_hub_that_does_not_answer_is_one_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="cannot be uploaded"):
        push_folder(folder, "me/model", private=False)


@pytest.mark.parametrize("name", ["model", "a/b/c", "../x", "me/", "me/mo del"])
def test_what_is_no_name_is_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(SpaceError, match="write OWNER/NAME"):
        check_name(name)


def test_an_adapter_to_a_folder_of_this_machine_is_not_pushed() -> None:
    refuse_local_base(CausalLmFoundation(kind="causal_lm", model="owner/name"))
    with pytest.raises(FoundationError, match="of this machine, which the hub does not have"):
        refuse_local_base(CausalLmFoundation(kind="causal_lm", model="builtin"))
