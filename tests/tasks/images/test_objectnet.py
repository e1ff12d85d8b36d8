import json
from pathlib import Path

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.data import Cut, FolderSource, ZeroShotTask
from rayforget.tasks.images.imagenet_names import imagenet_class_names, imagenet_ids
from rayforget.tasks.images.objectnet import objectnet
from rayforget.tasks.resolve import resolve_tasks

# In the order of WordNet ids: 409 analog clock, 530 digital clock, 954 banana.
LABELS = {"alarm_clock": "Alarm clock", "banana": "Banana", "air_freshener": "Air freshener"}
TO_IMAGENET = {"Banana": "banana", "Alarm clock": "analog clock; digital clock"}


@pytest.fixture
def images(image_folder, tmp_path) -> Path:
    """objectnet-1.0/images beside objectnet-1.0/mappings, in the archive's formats."""
    line_of = {index: (index * 7 + 3) % 1000 for index in range(1000)}  # the challenge's own order of classes
    names = {409: "analog clock", 530: "digital clock", 954: "banana"}
    lines = {line: names.get(index, f"class {index}, other name") for index, line in line_of.items()}
    maps = tmp_path / "objectnet-1.0" / "mappings"
    maps.mkdir(parents=True)
    (maps / "folder_to_objectnet_label.json").write_text(json.dumps(LABELS))
    (maps / "objectnet_to_imagenet_1k.json").write_text(json.dumps(TO_IMAGENET))
    (maps / "pytorch_to_imagenet_2012_id.json").write_text(json.dumps({str(i): at for i, at in line_of.items()}))
    (maps / "imagenet_to_label_2012_v2").write_text("".join(f"{lines[line]}\n" for line in range(1000)))
    return image_folder("objectnet-1.0/images", {folder: 3 for folder in LABELS})


def test_a_label_stands_for_all_the_imagenet_classes_that_the_maps_name(images):
    suite = objectnet(images)
    assert suite.class_names == ("analog clock", "digital clock", "banana")
    assert suite.class_names == tuple(imagenet_class_names()[index] for index in (409, 530, 954))
    assert suite.class_ids == tuple(imagenet_ids("imagenet")[index] for index in (409, 530, 954))
    assert suite.folders == {"alarm_clock": 0, "banana": 1}
    assert suite.class_groups == ((0, 1), (2,))
    assert suite.num_classes == 2


def test_folders_without_an_imagenet_class_are_left_out_and_unknown_ones_refused(images, image_folder):
    source = FolderSource(kind="folder", path=images)
    cut = ZeroShotTask(kind="zero_shot", role="generality", group="g", suite="objectnet", cut=Cut(source=source))
    task = resolve_tasks({"objectnet": cut})["objectnet"]
    assert task.num_classes == 2
    assert task.class_groups == ((0, 1), (2,))
    source_of_both = task.splits["val"].source
    indices = sorted([*task.splits["val"].indices, *task.splits["test"].indices])
    names = [Path(source_of_both.name(index)).parent.name for index in indices]
    assert names == ["alarm_clock"] * 3 + ["banana"] * 3
    (images / "air_freshener").rename(images / "surprise")
    with pytest.raises(TaskError, match=r"tasks.objectnet.cut: label without a class name: 'surprise'"):
        resolve_tasks({"objectnet": cut})


def test_the_border_is_cropped(images):
    assert objectnet(images).border == 2


def test_missing_and_contradicting_maps_are_named(images):
    maps = images.parent / "mappings"
    (maps / "objectnet_to_imagenet_1k.json").write_text(json.dumps({"Banana": "plantain"}))
    with pytest.raises(TaskError, match="no ImageNet class is called 'plantain'"):
        objectnet(images)
    (maps / "objectnet_to_imagenet_1k.json").unlink()
    with pytest.raises(TaskError, match=r"objectnet_to_imagenet_1k\.json: cannot be read"):
        objectnet(images)
    with pytest.raises(TaskError, match="elsewhere: no such folder"):
        objectnet(images / "elsewhere")
    (images / "inner").mkdir()
    with pytest.raises(TaskError, match="no folder `mappings` beside it"):
        objectnet(images / "inner")
