"""What a space names on this machine and what another has as well."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space.file.elsewhere import Variables, check_elsewhere, local_places, variables_for
from rayforget.space.file.load import load_space

FAR = ["storage.path=s3://bucket/runs", "resources.cache=/mnt/cache"]
SHARDS = "    val: {kind: webdataset, shards: '/data/val-{00..02}.tar'}"


def test_a_space_of_uris_and_drawn_pictures_passes(small_space: Callable[..., Path]) -> None:
    check_elsewhere(load_space(small_space(), FAR), paths_on_cluster=False)


def test_absolute_paths_pass_when_the_user_says_that_the_cluster_has_them(small_space: Callable[..., Path]) -> None:
    path = small_space({9: SHARDS})
    loaded = load_space(path, ["storage.path=/shared/runs", "foundation.model=local-dir:/models/x"])
    check_elsewhere(loaded, paths_on_cluster=True)


def test_a_data_set_is_local_only_where_it_is_a_folder(small_space: Callable[..., Path], tmp_path: Path) -> None:
    hub = "    train: {kind: dataset, path: owner/name, split: train}"
    assert not [place for place in local_places(load_space(small_space({8: hub}), FAR)) if place.at[0] == "tasks"]
    path = small_space({8: hub.replace("owner/name", str(tmp_path))})
    assert [place.at for place in local_places(load_space(path, FAR)) if place.at[0] == "tasks"] == [
        ("tasks", "shapes", "train", "path")
    ]


def test_variables_of_the_space_travel_and_those_of_the_machine_do_not(
    small_space: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_STYLE", "photo")
    monkeypatch.setenv("UNUSED", "1")
    path = small_space({8: "    train: {kind: world, style: '${MY_STYLE}', split: train, count: 8}"})
    loaded = load_space(path, ["storage.path=${HOME}/${ABSENT:-runs}"])
    environment = {"MY_STYLE": "photo", "UNUSED": "1", "HOME": "/home/me"}
    assert variables_for(loaded, environment) == Variables(sent={"MY_STYLE": "photo"}, withheld=())


def test_secrets_do_not_travel_whatever_they_are_called(
    small_space: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their name, by their place in the mirror's address, or since their value is an address with a user."""
    environment = {
        "HOST": "server",
        "PORT": "5000",
        "WHO": "me",
        "CODE": "s3cret",
        "PG_PASSWORD": "s3cret",
        "WEIGHTS": "s3://me:s3cret@bucket/x",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    uri = "tracking: {uri: 'https://${WHO}:${code}@${HOST}:${PORT}/mlflow'}"
    path = small_space(add=f"{uri}\nvars: {{code: '${{CODE}}'}}\n# ${{PG_PASSWORD}} ${{WEIGHTS}}\n")
    loaded = load_space(path)
    found = variables_for(loaded, environment)
    assert found.sent == {"HOST": "server", "PORT": "5000"}
    assert found.withheld == ("CODE", "PG_PASSWORD", "WEIGHTS", "WHO")


def test_a_key_in_the_storages_address_is_not_sent(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space(), [*FAR, "storage.path=s3://me:s3cret@bucket/runs"])
    with pytest.raises(SpaceError, match=r"storage\.path: found a key in it") as raised:
        check_elsewhere(loaded, paths_on_cluster=False)
    assert "s3cret" not in str(raised.value)


def test_a_tag_of_weights_is_no_local_place(small_space: Callable[..., Path]) -> None:
    tag = small_space({2: "foundation: {kind: clip, model: ViT-B-16, pretrained: openai}"})
    assert not [place for place in local_places(load_space(tag, FAR)) if place.at[0] == "foundation"]
