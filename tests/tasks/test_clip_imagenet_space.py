"""The shipped ImageNet space over tiny data with the same layout and names."""

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from rayforget.space.file.load import load_space
from rayforget.space.shipped import shipped
from rayforget.tasks.overlaps import check_overlaps
from rayforget.tasks.resolve import resolve_tasks

TENCH, GOLDFISH, STINGRAY = "n01440764", "n01443537", "n01498041"


@pytest.fixture
def data(image_folder: Callable[..., Path], picture: Callable[..., bytes], tmp_path: Path) -> list[str]:
    """`--set` options that point the space to folders of two or three classes."""
    image_folder("imagenet/train", {TENCH: 2, GOLDFISH: 2})
    roots = {
        "imagenet": image_folder("imagenet/val", {TENCH: 8, GOLDFISH: 8}).parent,
        "imagenet_v2": image_folder("v2", {"0": 8, "10": 4, "2": 4}),
        "imagenet_r": image_folder("r", {GOLDFISH: 16}),
        "imagenet_a": image_folder("a", {STINGRAY: 16}),
        "imagenet_sketch": image_folder("sketch", {TENCH: 16}),
        "objectnet": image_folder("objectnet/images", {"banana": 16, "air_freshener": 1}).parent,
    }
    maps = roots["objectnet"] / "mappings"
    maps.mkdir()
    (maps / "folder_to_objectnet_label.json").write_text('{"banana": "Banana", "air_freshener": "Air freshener"}')
    (maps / "objectnet_to_imagenet_1k.json").write_text('{"Banana": "banana"}')
    (maps / "pytorch_to_imagenet_2012_id.json").write_text(json.dumps({str(index): index for index in range(1000)}))
    (maps / "imagenet_to_label_2012_v2").write_text("".join(f"{'banana' if i == 954 else i}\n" for i in range(1000)))
    for name, image, label, splits, names in [
        ("cifar100", "img", "fine_label", ["test"], ["apple", "aquarium_fish"]),
        ("food101", "image", "label", ["validation"], ["apple_pie", "baby_back_ribs"]),
        ("eurosat", "image", "label", ["validation", "test"], [f"Class{index}" for index in range(10)]),
    ]:
        features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=names)})
        tables = {}
        for number, split in enumerate(splits):
            cells = [{"bytes": picture(100 * number + index), "path": None} for index in range(16)]
            rows = {image: cells, label: [index % len(names) for index in range(16)]}
            tables[split] = datasets.Dataset.from_dict(rows, features=features)
        datasets.DatasetDict(tables).save_to_disk(tmp_path / name)
        roots[name] = tmp_path / name
    return [f"vars.{name}={root}" for name, root in roots.items()]


def test_every_task_resolves_over_data_of_its_layout(data):
    tasks = resolve_tasks(load_space(shipped("clip_imagenet"), data).space.tasks)
    sizes = {name: (task.num_classes, len(task.class_names), len(task.templates)) for name, task in tasks.items()}
    assert sizes == {
        "imagenet": (1000, 1000, 80),
        "imagenet_v2": (1000, 1000, 80),
        "imagenet_r": (200, 200, 80),
        "imagenet_a": (200, 200, 80),
        "imagenet_sketch": (1000, 1000, 80),
        "objectnet": (1, 1, 80),
        "cifar100": (2, 2, 7),
        "food101": (2, 2, 1),
        "eurosat": (10, 10, 2),
    }
    for task in tasks.values():
        assert len(task.splits["val"].indices) + len(task.splits["test"].indices) in (16, 32)
        check_overlaps(task)
    assert tasks["imagenet_v2"].splits["val"].source.labels.tolist() == [0] * 8 + [10] * 4 + [2] * 4
    assert tasks["cifar100"].class_names == ("apple", "aquarium fish")
    assert tasks["eurosat"].class_names[-1] == "lake or sea"


def test_the_head_of_the_speciality_can_score_every_shift_and_no_other_task(data):
    tasks = resolve_tasks(load_space(shipped("clip_imagenet"), data).space.tasks)
    within = {name: task.indices_within(tasks["imagenet"]) is not None for name, task in tasks.items()}
    assert within == {name: task.group != "task" for name, task in tasks.items()}
