import io
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rayforget.errors import TaskError
from rayforget.space.tasks.data import Cut, FolderSource, WebdatasetSource, WorldSource, ZeroShotTask
from rayforget.tasks.images.remarks import image_remarks
from rayforget.tasks.images.shown import class_lines
from rayforget.tasks.resolve import resolve_tasks

PROMPTS = ("a photo of a {}.",)


def folder(path: Path, max_broken: int = 0) -> FolderSource:
    return FolderSource(kind="folder", path=path, max_broken=max_broken)


def task(role="generality", **others) -> ZeroShotTask:
    group = "distribution" if role == "generality" else None
    return ZeroShotTask(kind="zero_shot", role=role, group=group, **others)


@pytest.fixture
def speciality(image_folder) -> ZeroShotTask:
    splits = {split: folder(image_folder(f"photo/{split}", {"guinea_pig": 2, "cat": 1})) for split in _SPLITS}
    return task("speciality", templates=PROMPTS, **splits)


_SPLITS = ("train", "val", "test")


def test_folders_name_the_classes_sorted_and_with_spaces(speciality):
    photo = resolve_tasks({"photo": speciality})["photo"]
    assert photo.class_names == photo.class_ids == ("cat", "guinea pig")
    assert photo.num_classes == 2
    for split in _SPLITS:
        assert photo.splits[split].indices.tolist() == [0, 1, 2]
        assert photo.splits[split].source.labels.tolist() == [0, 1, 1]
        assert photo.splits[split].expected_count == 3
    assert photo.group is None


def test_labels_follow_the_given_order_of_names(speciality):
    named = speciality.model_copy(update={"classes": ("guinea pig", "dog", "cat")})
    photo = resolve_tasks({"photo": named})["photo"]
    assert photo.class_names == ("guinea pig", "dog", "cat")
    assert photo.splits["val"].source.labels.tolist() == [2, 0, 0]


def test_a_folder_without_a_class_name_is_an_error_at_its_key(speciality, image_folder):
    missing = speciality.model_copy(update={"classes": ("cat", "dog")})
    with pytest.raises(TaskError, match=r"^tasks.photo.train: label without a class name: 'guinea_pig'"):
        resolve_tasks({"photo": missing})
    typo = speciality.model_copy(update={"test": folder(image_folder("typo", {"cta": 1}))})
    with pytest.raises(TaskError, match=r"^tasks.photo.test: label without a class name: 'cta'"):
        resolve_tasks({"photo": typo})


def test_a_folder_above_the_classes_is_told_with_the_one_below(speciality, image_folder):
    root, other = (image_folder(name, {"pets/cat": 1, "pets/dog": 1}) for name in ("deep", "other"))
    meant = f"lie one deeper, write path: {root}/pets"
    with pytest.raises(TaskError, match=rf"^tasks.photo.test: .*'pets' .*if .* {meant}"):
        resolve_tasks({"photo": speciality.model_copy(update={"test": folder(root)})})
    alone = task("speciality", templates=PROMPTS, val=folder(root), test=folder(other))
    with pytest.raises(TaskError, match=rf"^tasks.photo.classes: found one class, 'pets'.* {meant}"):
        resolve_tasks({"photo": alone})
    styles = [image_folder(split, {"art/cat": 1, "photo/cat": 1}) for split in ("v", "t")]
    found = resolve_tasks({"t": task("speciality", templates=PROMPTS, val=folder(styles[0]), test=folder(styles[1]))})
    told = [f"tasks.t.{split}: no image lies in a class's folder itself" for split in ("val", "test")]
    assert [remark.split(", all")[0] for remark in image_remarks(found["t"])] == told


def test_a_missing_folder_is_an_error_at_its_key(speciality, tmp_path):
    with pytest.raises(TaskError, match=rf"^tasks.photo.val: {tmp_path}/none"):
        resolve_tasks({"photo": speciality.model_copy(update={"val": folder(tmp_path / "none")})})


def test_templates_are_the_tasks_own_else_the_suites_else_the_specialitys(speciality, image_folder):
    data = {"val": folder(image_folder("one", {"cat": 1, "dog": 1})), "test": folder(image_folder("two", {"cat": 1}))}
    wordnet = Cut(source=folder(image_folder("three", {"n01443537": 1, "n01484850": 1})))
    tasks = {
        "own": task(templates=("a sketch of a {}.",), **data),
        "suite": task(suite="imagenet_r", cut=wordnet),
        "inherited": task(**data),
        "photo": speciality,
    }
    resolved = resolve_tasks(tasks)
    assert list(resolved) == list(tasks)
    assert resolved["own"].templates == ("a sketch of a {}.",)
    assert len(resolved["suite"].templates) == 80
    assert resolved["inherited"].templates == PROMPTS
    with pytest.raises(TaskError, match=r"^tasks.inherited: no templates"):
        resolve_tasks({"inherited": tasks["inherited"]})


def test_a_cut_gives_two_disjoint_halves_that_follow_the_content(speciality, image_folder):
    root = image_folder("sketch", {"cat": list(range(40)), "dog": list(range(20, 60))})  # 20 images are in both
    halves = {"photo": speciality, "sketch": task(cut=Cut(source=folder(root, 7), seed=1, val_share=0.3))}
    sketch = resolve_tasks(halves)["sketch"]
    val, test = sketch.splits["val"], sketch.splits["test"]
    assert sorted([*val.indices, *test.indices]) == list(range(80))
    assert val.source is test.source
    assert (val.expected_count, test.expected_count) == (24, 56)
    assert val.max_broken == 7
    seeds = {
        split: {int(Path(items.source.name(i)).stem) for i in items.indices} for split, items in sketch.splits.items()
    }
    assert not seeds["val"] & seeds["test"]
    again = resolve_tasks(halves)["sketch"]
    assert np.array_equal(again.splits["val"].indices, val.indices)


def test_an_empty_half_is_an_error(image_folder):
    lonely = task(templates=PROMPTS, classes=("a", "b"), cut=Cut(source=folder(image_folder("one", {"a": 1}))))
    splits = resolve_tasks({"lonely": lonely})["lonely"].splits
    with pytest.raises(TaskError, match=r"^tasks.lonely.cut: 1 items leave none for"):
        [items.indices for items in splits.values()]


def test_shards_need_class_names_and_their_labels_a_name(tmp_path, picture):
    for split, labels in (("val", (0, 1)), ("test", (1, 2))):
        with tarfile.open(tmp_path / f"{split}.tar", "w") as archive:
            for number, label in enumerate(labels):
                for name, data in ((f"{number}.jpg", picture(label, kind="jpeg")), (f"{number}.cls", b"%d" % label)):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    shards = {s: WebdatasetSource(kind="webdataset", shards=str(tmp_path / f"{s}.tar")) for s in ("val", "test")}
    with pytest.raises(TaskError, match=r"^tasks.t.classes: the data has only class indices"):
        resolve_tasks({"t": task(templates=PROMPTS, **shards)})
    with pytest.raises(TaskError, match=r"^tasks.t.test: label without a class name: 2 of .*test.tar:1.jpg"):
        resolve_tasks({"t": task(templates=PROMPTS, classes=("a", "b"), **shards)})
    resolved = resolve_tasks({"t": task(templates=PROMPTS, classes=("a", "b", "c"), **shards)})["t"]
    assert resolved.splits["test"].source.labels.tolist() == [1, 2]


def test_classes_that_differ_by_an_underscore_are_refused(image_folder):
    data = {split: folder(image_folder(split, {"a_b": 1, "a b": 1})) for split in ("val", "test")}
    with pytest.raises(TaskError, match=r"^tasks.t.classes: 'a b' occurs 2 times"):
        resolve_tasks({"t": task(templates=PROMPTS, **data)})


def test_a_single_class_is_refused(image_folder):
    data = {split: folder(image_folder(split, {"cat": 2})) for split in ("val", "test")}
    with pytest.raises(TaskError, match=r"^tasks.t.classes: found one class, 'cat', .* expected two at least"):
        resolve_tasks({"t": task(templates=PROMPTS, **data)})


def test_drawn_images_bring_their_names():
    drawn = {
        split: WorldSource(kind="world", style="sketch", naming="count", split=split, count=9)
        for split in ("val", "test")
    }
    world = resolve_tasks({"counting": task(templates=PROMPTS, **drawn)})["counting"]
    assert len(world.class_names) >= 2
    assert world.splits["val"].source.labels.max() < world.num_classes
    assert world.splits["val"].max_broken == 0


def test_classes_of_a_subset_are_found_in_the_whole_by_id_though_names_repeat(image_folder):
    whole = task(suite="imagenet", cut=Cut(source=folder(image_folder("in", {"n01440764": 2}))))
    subset = task(suite="imagenet_r", cut=Cut(source=folder(image_folder("r", {"n03773504": 2}))))  # missile
    resolved = resolve_tasks({"in": whole, "r": subset})
    within = resolved["r"].indices_within(resolved["in"])
    assert within is not None
    assert [resolved["in"].class_ids[index] for index in within] == list(resolved["r"].class_ids)
    assert resolved["in"].indices_within(resolved["r"]) is None
    names = resolved["in"].class_names
    assert names[657] == names[744] == "missile"


def test_names_with_composed_and_decomposed_accents_are_one_class(image_folder):
    forms = {"train": "NFC", "val": "NFD", "test": "NFD"}
    splits = {
        split: folder(image_folder(split, {unicodedata.normalize(form, "café"): 1, "tea": 1}))
        for split, form in forms.items()
    }
    found = resolve_tasks({"t": task("speciality", templates=PROMPTS, **splits)})["t"]
    assert found.class_names == (unicodedata.normalize("NFC", "café"), "tea")
    assert found.splits["val"].source.labels.tolist() == [0, 1]


def test_a_subset_of_a_suite_is_scored_among_all_its_classes_or_those_present_and_told(image_folder):
    val, test = image_folder("v", {"n01440764": 1, "n01491361": 2}), image_folder("t", {"n01443537": 1})
    whole = task("speciality", suite="imagenet", val=folder(val), test=folder(test))
    found = resolve_tasks({"t": whole})["t"]
    assert found.num_classes == 1000
    (remark,) = image_remarks(found)
    assert remark.startswith("tasks.t.suite: 3 of the suite's 1000 classes occur in the data")
    few = resolve_tasks({"t": whole.model_copy(update={"candidates": "present"})})["t"]
    assert few.class_ids == ("n01440764", "n01443537", "n01491361")
    assert few.splits["val"].source.labels.tolist() == [0, 2, 2]
    assert few.splits["test"].source.labels.tolist() == [1]
    assert few.indices_within(found) == (0, 1, 3)
    assert not list(image_remarks(few))


def test_images_that_would_be_turned_are_counted_unless_they_are(image_folder, tmp_path):
    val, test = image_folder("v", {"a": 2, "b": 1}), image_folder("t", {"a": 1, "b": 1})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 3)).save(val / "a" / "turned.jpg", exif=exif)
    cut = task("speciality", templates=PROMPTS, val=folder(val), test=folder(test))
    (remark,) = image_remarks(resolve_tasks({"t": cut})["t"])
    assert remark.startswith("tasks.t.val: 1 of 4 images are to be turned by their EXIF orientation")
    upright = cut.model_copy(update={"val": folder(val).model_copy(update={"exif": "apply"})})
    resolved = resolve_tasks({"t": upright})["t"]
    assert not list(image_remarks(resolved))
    assert resolved.splits["val"].source.reading.upright


def test_images_with_transparency_are_counted_in_every_mode_that_has_some(image_folder):
    val, test = image_folder("v", {"a": 2, "b": 1}), image_folder("t", {"a": 1, "b": 1})
    for mode in ("RGBA", "LA"):
        Image.new(mode, (4, 3)).save(val / "a" / f"{mode}.png")
    Image.new("P", (4, 3)).save(val / "b" / "colour.gif", transparency=0)
    Image.new("RGB", (4, 3)).save(val / "b" / "colour.png", transparency=(0, 0, 0))
    found = resolve_tasks({"t": task("speciality", templates=PROMPTS, val=folder(val), test=folder(test))})["t"]
    (remark,) = image_remarks(found)
    assert remark.startswith("tasks.t.val: 4 of 7 images have transparency")


def test_classes_are_told_with_their_smallest_and_largest_and_the_first_prompts(image_folder):
    val, test = image_folder("v", {"a_b": 2, "c": 1, "d": 5}), image_folder("t", {"a_b": 1, "c": 1, "d": 1})
    prompts = ("a photo of a {}.", "a {}", "the {}")
    found = resolve_tasks({"t": task("speciality", templates=prompts, val=folder(val), test=folder(test))})["t"]
    assert list(class_lines(found)) == [
        ("classes", "tasks.t: 3; val 8 images, 1 (c) to 5 (d) of a class; test 3 images, 1 of each class"),
        ("first prompts", 'tasks.t: "a photo of a a b.", "a a b" and 1 more'),
    ]
    few = task("speciality", suite="imagenet", val=folder(image_folder("i", {"n01440764": 3})), test=folder(test))
    few = few.model_copy(update={"test": folder(image_folder("j", {"n01443537": 1}))})
    (about, counted), _ = class_lines(resolve_tasks({"t": few})["t"])
    assert (about, counted.split(";")[1]) == ("classes", " val 3 images, 0 (goldfish) to 3 (tench) of a class")


@pytest.mark.parametrize("names", [("n02084071", "n02374451"), ("1", "2"), ("001.Black_footed_Albatross", "002.Crow")])
def test_folders_whose_names_say_nothing_in_a_prompt_are_told(image_folder, names):
    splits = {split: folder(image_folder(split, dict.fromkeys(names, 1))) for split in ("val", "test")}
    (remark,) = image_remarks(resolve_tasks({"t": task("speciality", templates=PROMPTS, **splits)})["t"])
    assert "which no text tower knows" in remark


def test_folders_get_names_by_a_map_or_behind_their_numbers(image_folder):
    birds = ("001.Black_footed_Albatross", "002.Crow")
    splits = {split: folder(image_folder(split, dict.fromkeys(birds, 1))) for split in ("val", "test")}
    whole = task("speciality", templates=PROMPTS, **splits)
    mapped = whole.model_copy(update={"names": {birds[1]: "crow", birds[0]: "black_footed albatross"}})
    listed = whole.model_copy(update={"classes": ("Crow", "Black footed Albatross")})
    found = resolve_tasks({"t": mapped})["t"]
    assert found.class_names == ("black footed albatross", "crow")
    assert found.splits["val"].source.labels.tolist() == [0, 1]
    assert resolve_tasks({"t": listed})["t"].splits["val"].source.labels.tolist() == [1, 0]
    with pytest.raises(TaskError, match=r"name it by `names: \{001.Black_footed_Albatross: NAME"):
        resolve_tasks({"t": whole.model_copy(update={"classes": ("Crow", "Dodo")})})


def test_top_5_of_five_classes_is_refused(image_folder):
    splits = {split: folder(image_folder(split, dict.fromkeys("abcde", 1))) for split in ("val", "test")}
    with pytest.raises(TaskError, match=r"tasks.t.metric: found top5 with 5 classes"):
        resolve_tasks({"t": task("speciality", templates=PROMPTS, metric="top5", **splits)})


@pytest.mark.parametrize("first", [0, 1])
def test_folders_that_are_numbers_are_the_classes_own(image_folder, first):
    numbers = [str(first + place) for place in range(12)]
    splits = {split: folder(image_folder(split, dict.fromkeys(numbers, 1))) for split in ("val", "test")}
    classes = tuple(f"class {place:02d}" for place in range(12))
    found = resolve_tasks({"t": task("speciality", templates=PROMPTS, classes=classes, **splits)})["t"]
    source = found.splits["val"].source
    assert [Path(source.name(i)).parent.name for i in np.argsort(source.labels)] == numbers
    unclear = splits | {"test": folder(image_folder("few", {"3": 1, "4": 1}))}
    with pytest.raises(TaskError, match=r"tasks.t.test: label without a class name: '3'"):
        resolve_tasks({"t": task("speciality", templates=PROMPTS, classes=classes, **unclear)})
