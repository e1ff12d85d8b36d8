from pathlib import Path

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.data import FolderSource
from rayforget.tasks.images.folder import FolderImages
from rayforget.tasks.images.opening import open_source


def test_classes_and_files_come_sorted_by_name(image_folder, picture):
    root = image_folder("set", {"zebra": [2, 1], "Ape": [9], "cat": [5]})
    images = FolderImages(root)
    assert images.class_names == ("Ape", "cat", "zebra")
    assert [Path(images.name(i)).name for i in range(len(images))] == [f"{n:06d}.png" for n in (9, 5, 1, 2)]
    assert [images.label(i) for i in range(4)] == [0, 1, 2, 2]
    assert images.read(3) == picture(2)
    assert images.size(3) == len(picture(2))


def test_hidden_files_other_files_and_files_beside_the_classes_do_not_count(image_folder):
    root = image_folder("set", {"a": 1, "b": 1})
    (root / "a" / ".hidden.png").write_bytes(b"x")
    (root / "a" / "notes.txt").write_bytes(b"x")
    (root / ".cache").mkdir()
    (root / "loop").symlink_to(root / "loop")
    (root / "README.txt").write_bytes(b"x")
    assert len(FolderImages(root)) == 2
    assert FolderImages(root).class_names == ("a", "b")


@pytest.mark.parametrize("extension", ["jpg", "jpeg", "JPEG", "PNG", "webp", "bmp"])
def test_extensions_of_any_case_count(tmp_path, extension):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"x.{extension}").write_bytes(b"x")
    assert len(FolderImages(tmp_path)) == 1


def test_images_in_sub_folders_of_a_class_belong_to_it(image_folder):
    root = image_folder("set", {"a/deep": [3], "b": [4]})
    images = FolderImages(root)
    assert images.class_names == ("a", "b")
    assert images.name(0).endswith("a/deep/000003.png")


def test_a_missing_folder_a_folder_without_classes_and_an_empty_class_are_named(tmp_path):
    with pytest.raises(TaskError, match=f"{tmp_path}/none.*found nothing"):
        open_source(FolderSource(kind="folder", path=tmp_path / "none"))
    with pytest.raises(TaskError, match=f"{tmp_path}: expected one sub-folder per class"):
        open_source(FolderSource(kind="folder", path=tmp_path))
    (tmp_path / "a").mkdir()
    with pytest.raises(TaskError, match=f"{tmp_path}/a: no image"):
        open_source(FolderSource(kind="folder", path=tmp_path))


@pytest.mark.parametrize(
    ("key", "folders", "meant"),
    [
        ("train", ("Train", "Test"), "Train"),
        ("val", ("train", "valid", "test", "annotations"), "valid"),
        ("val", ("train", "test"), "test"),
        ("test", ("training", "testing", "dev"), "testing"),
        ("cut", ("test", "train", "val"), "test"),
    ],
)
def test_the_folder_of_all_splits_is_refused_with_the_one_that_is_meant(image_folder, key, folders, meant):
    root = image_folder("set", {f"{folder}/{name}": 1 for folder in folders for name in ("cat", "dog")})
    with pytest.raises(TaskError, match=rf"{root}: .* found those of the splits \(.*\); write path: {root}/{meant}$"):
        open_source(FolderSource(kind="folder", path=root), key=key)


@pytest.mark.parametrize(
    "folders",
    [("train", "test"), ("train/a", "bus/a"), ("train/a", "train", "val/a"), ("test/b/c",)],
)
def test_classes_may_be_named_as_splits_are(tmp_path, picture, folders):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "1.png").write_bytes(picture(1))
    assert FolderImages(tmp_path).class_names == tuple(sorted({folder.split("/")[0] for folder in folders}))


def test_a_folder_of_folders_says_which_one_may_be_meant(image_folder):
    root = image_folder("set", {"pets/cat": 1, "pets/dog": 2})
    assert FolderImages(root).deeper == str(root / "pets")
    assert FolderImages(root / "pets").deeper is None


def test_links_to_folders_are_followed_and_one_that_leads_round_is_not(image_folder):
    root, outside = image_folder("set", {"a": [1], "b": [2]}), image_folder("outside", {"deep": [3, 4], "far": [5]})
    (root / "a" / "more").symlink_to(outside)
    (root / "c").symlink_to(outside / "far")
    (root / "b" / "round").symlink_to(root / "b")
    (outside / "deep" / "up").symlink_to(outside)
    images = FolderImages(root)
    assert images.class_names == ("a", "b", "c")
    assert [images.label(index) for index in range(len(images))] == [0, 0, 0, 0, 1, 2]
    assert images.name(3).endswith("a/more/far/000005.png")


def test_files_that_are_passed_over_are_counted_and_named(image_folder):
    root = image_folder("set", {"a": 1, "b": 1})
    assert FolderImages(root).passed_over is None
    for name in ("a/x.jfif", "a/y.JFIF", "b/z", "b/.hidden", "README.txt", "beside.png"):
        (root / name).write_bytes(b"x")
    (root / "a" / "lost").symlink_to(root / "nowhere")
    assert FolderImages(root).passed_over == (
        "5 files passed over (2 .jfif, 1 .png, 1 links to nothing, 1 without extension): "
        "beside.png, a/lost, a/x.jfif, a/y.JFIF, b/z"
    )
