"""Whatever a space names on this machine is refused before it goes to another, key by key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space.elsewhere import carried_variables, check_elsewhere, local_places
from rayforget.space.load import load_space

FAR = ["storage.path=s3://bucket/runs", "resources.cache=/mnt/cache"]
FOLDER = "    train: {kind: folder, path: data/train}"
SHARDS = "    val: {kind: webdataset, shards: '/data/val-{00..02}.tar'}"


def refused(path: Path, overrides: list[str], *, paths_on_cluster: bool = False) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        check_elsewhere(load_space(path, overrides), paths_on_cluster=paths_on_cluster)
    return str(caught.value).splitlines()


def test_a_space_of_uris_and_drawn_pictures_passes(small_space: Callable[..., Path]) -> None:
    check_elsewhere(load_space(small_space(), FAR), paths_on_cluster=False)


def test_every_local_path_is_named_with_its_line(small_space: Callable[..., Path]) -> None:
    path = small_space({2: "foundation: {kind: clip, model: 'local-dir:/models/x'}", 8: FOLDER, 9: SHARDS})
    *lines, hint = refused(path, ["tracking.uri=sqlite:////runs/mlflow.db"])
    assert [line.split(": ")[:3] for line in lines] == [
        [f"{path}:2", "foundation.model", "/models/x exists only on this machine"],
        [f"{path}:8", "tasks.shapes.train.path", "data/train exists only on this machine"],
        [f"{path}:9", "tasks.shapes.val.shards", "/data/val-{00..02}.tar exists only on this machine"],
        [
            f"{path}:1",
            "storage.path",
            f"{Path('runs').absolute()} is a folder of this machine, which the cluster cannot reach",
        ],
        [
            "--set tracking.uri=sqlite:////runs/mlflow.db",
            "tracking.uri",
            "/runs/mlflow.db is a file of this machine, which the cluster cannot reach",
        ],
    ]
    assert "--paths-on-cluster" in hint


def test_absolute_paths_pass_when_the_user_says_that_the_cluster_has_them(small_space: Callable[..., Path]) -> None:
    path = small_space({9: SHARDS})
    loaded = load_space(path, ["storage.path=/shared/runs", "foundation.model=local-dir:/models/x"])
    check_elsewhere(loaded, paths_on_cluster=True)


@pytest.mark.parametrize(
    "override",
    ["storage.path=runs", "foundation.model=local-dir:model", "resources.cache=cache", "tasks.shapes.train.path=~/x"],
)
def test_relative_paths_are_refused_all_the_same(small_space: Callable[..., Path], override: str) -> None:
    path = small_space({8: FOLDER.replace("data", "/data")})
    (line,) = refused(path, ["storage.path=/shared/runs", override], paths_on_cluster=True)
    assert line.startswith(f"--set {override}: {override.partition('=')[0]}: ")
    assert "relative" in line


def test_the_cut_of_a_task_is_looked_into(small_space: Callable[..., Path]) -> None:
    path = small_space({9: "    cut: {source: {kind: folder, path: /data/all}}", 10: ""})
    line, _ = refused(path, FAR)
    assert line.startswith(f"{path}:9: tasks.shapes.cut.source.path: /data/all ")


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
    assert carried_variables(loaded, environment) == {"MY_STYLE": "photo"}


def test_a_file_of_weights_is_a_local_place_and_a_tag_is_none(small_space: Callable[..., Path]) -> None:
    tag = small_space({2: "foundation: {kind: clip, model: ViT-B-16, pretrained: openai}"})
    assert not [place for place in local_places(load_space(tag, FAR)) if place.at[0] == "foundation"]
    file = small_space({2: "foundation: {kind: clip, model: ViT-B-16, pretrained: ./weights.pt}"})
    line, _ = refused(file, FAR)
    assert line == (
        f"{file}:2: foundation.pretrained: ./weights.pt exists only on this machine: "
        "use a name on the hub, or copy the data to every node"
    )
