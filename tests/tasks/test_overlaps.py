from pathlib import Path

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.data import Cut, FolderSource, WorldSource, ZeroShotTask
from rayforget.tasks.overlaps import check_halves, check_overlaps
from rayforget.tasks.resolve import ResolvedTask, resolve_tasks


def folder(path: Path) -> FolderSource:
    return FolderSource(kind="folder", path=path)


def resolved(**data: object) -> ResolvedTask:
    known = {"kind": "zero_shot", "role": "speciality", "templates": ("{}",), "classes": ("a", "b")}
    task = ZeroShotTask(**(known | data))  # type: ignore[arg-type]
    return resolve_tasks({"photo": task})["photo"]


def test_disjoint_splits_pass(image_folder):
    check_overlaps(
        resolved(**{split: folder(image_folder(split, {"a": 5, "b": 1})) for split in ("train", "val", "test")})
    )


@pytest.mark.parametrize(("one", "other"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_two_equal_images_under_other_names_and_classes_are_named(image_folder, one, other):
    roots = {split: image_folder(split, {"a": 3, "b": 3}) for split in ("train", "val", "test")}
    copied = next((roots[one] / "a").iterdir())
    target = roots[other] / "b" / "renamed.png"
    target.write_bytes(copied.read_bytes())
    with pytest.raises(TaskError) as found:
        check_overlaps(resolved(**{split: folder(root) for split, root in roots.items()}))
    message = str(found.value)
    assert message.startswith("tasks.photo: the same image in two splits")
    assert f"{copied} ({one}) and {target} ({other}); 1 such image;" in message


def test_only_items_whose_size_occurs_in_two_splits_are_read(image_folder):
    roots = {split: image_folder(split, {"a": 1}) for split in ("val", "test")}
    for number, root in enumerate(roots.values()):
        next(root.glob("*/*")).write_bytes(b"x" * (10 + number))
    task = resolved(**{split: folder(root) for split, root in roots.items()})
    for root in roots.values():  # the sizes are known from now on; reading would fail
        next(root.glob("*/*")).chmod(0o000)
    check_overlaps(task)
    assert not any(items.source._contents._hashed.any() for items in task.splits.values())


def test_copies_within_a_split_and_within_a_cut_pass(image_folder):
    check_overlaps(
        resolved(val=folder(image_folder("val", {"a": [1], "b": [1]})), test=folder(image_folder("t", {"a": [2]})))
    )
    check_overlaps(resolved(cut=Cut(source=folder(image_folder("cut", {"a": [1, 2], "b": [1, 3]})))))


def test_training_images_in_a_cut_are_found(image_folder):
    data = {
        "train": folder(image_folder("train", {"a": [1, 2]})),
        "cut": Cut(source=folder(image_folder("c", {"a": [2]}))),
    }
    with pytest.raises(TaskError, match=r"\(train\) and .*000002.png \(cut\)"):
        check_overlaps(resolved(**data))


@pytest.mark.parametrize("loops", [False, True])
def test_a_link_to_nothing_or_to_itself_is_an_error_at_its_key(image_folder, loops):
    roots = {split: image_folder(split, {"a": 2}) for split in ("val", "test")}
    link = roots["test"] / "a" / "link.png"
    link.symlink_to(link if loops else roots["test"] / "nothing.png")
    with pytest.raises(TaskError, match=r"^tasks\.photo\.test: .*link\.png: cannot be read"):
        check_overlaps(resolved(**{split: folder(root) for split, root in roots.items()}))


@pytest.mark.parametrize(("empty", "max_broken", "refused"), [(0, 0, False), (1, 0, True), (2, 2, False), (3, 9, True)])
def test_empty_files_are_broken_images(image_folder, empty, max_broken, refused):
    roots = {split: image_folder(split, {"a": 3}) for split in ("val", "test")}
    for root in roots.values():
        for path in sorted(root.glob("*/*"))[:empty]:
            path.write_bytes(b"")
    sources = {s: FolderSource(kind="folder", path=root, max_broken=max_broken) for s, root in roots.items()}
    if not refused:
        return check_overlaps(resolved(**sources))
    with pytest.raises(
        TaskError, match=rf"^tasks\.photo\.val: {empty} broken images of 3, allowed {max_broken} .*no bytes"
    ):
        check_overlaps(resolved(**sources))


@pytest.mark.parametrize("val_share", [0.5, 1e-9, 1 - 1e-9])
def test_a_cut_that_leaves_a_half_empty_is_refused(image_folder, val_share):
    task = resolved(cut=Cut(source=folder(image_folder("cut", {"a": 9, "b": 9})), val_share=val_share))
    if val_share == 0.5:
        return check_halves(task)
    with pytest.raises(TaskError, match=r"^tasks\.photo\.cut: 18 items leave none for (val|test); change val_share"):
        check_halves(task)


def drawn(split: str, *, seed: int = 0, count: int = 40) -> WorldSource:
    return WorldSource(kind="world", style="sketch", split=split, seed=seed, count=count)  # type: ignore[arg-type]


def test_pictures_of_different_streams_need_not_be_drawn_to_be_told_apart():
    task = resolved(classes=None, train=drawn("train"), val=drawn("val"), test=drawn("val", seed=1))
    check_overlaps(task)
    assert not any(items.source._contents._hashed.any() for items in task.splits.values())
    pictures = [items.source.read(index) for items in task.splits.values() for index in range(40)]
    assert len(set(pictures)) == len(pictures)


def test_the_same_stream_in_two_splits_is_found():
    with pytest.raises(TaskError, match=r"the same image in two splits.*; 20 such images"):
        check_overlaps(resolved(classes=None, val=drawn("val"), test=drawn("val", count=20)))


def test_on_request_each_image_stays_in_one_split_test_before_val_before_train(image_folder):
    roots = {
        "train": image_folder("train", {"a": [1, 2, 3], "b": [4]}),
        "val": image_folder("val", {"a": [2, 5], "b": [6]}),
        "test": image_folder("test", {"a": [3, 5], "b": [7]}),
    }
    task = resolved(**{split: folder(root) for split, root in roots.items()}, overlap="drop")
    assert {split: len(items.indices) for split, items in task.splits.items()} == {"train": 2, "val": 2, "test": 3}
    assert [Path(task.splits["train"].source.name(i)).name for i in task.splits["train"].indices] == [
        "000001.png", "000004.png",
    ]  # fmt: skip
    check_overlaps(task)
    assert sorted(task.dropped) == [
        "1 image of train left out, found in test too (overlap: drop)",
        "1 image of train left out, found in val too (overlap: drop)",
        "1 image of val left out, found in test too (overlap: drop)",
    ]
    nothing = {**roots, "train": image_folder("copy", {"a": [3], "b": [7]})}
    with pytest.raises(TaskError, match=r"tasks.photo.train: all of its images are in other splits"):
        resolved(**{split: folder(root) for split, root in nothing.items()}, overlap="drop")
