from collections import Counter

import numpy as np
import pytest

from rayforget.errors import TaskError
from rayforget.tasks.images.contents import content_hash
from rayforget.tasks.images.labelled import LabelledImages, label_by_name


class Listed:
    """A source of short texts that counts reads."""

    def __init__(self, labels: list[int], class_names: tuple[str, ...] | None = None) -> None:
        self.class_names = class_names
        self.labels = labels
        self.reads: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        return f"item {index}"

    def label(self, index: int) -> int:
        return self.labels[index]

    def read(self, index: int) -> bytes:
        self.reads[index] += 1
        if index == 99:
            raise PermissionError("not yours")
        return str(index % 3).encode()


def test_each_item_is_read_once_for_its_hash():
    source = Listed([0] * 7)
    images = LabelledImages(source)
    first = images.content_hashes(np.array([5, 2]))
    second = images.content_hashes(np.array([2, 3, 5, 5]))
    assert (second[[2, 0]] == first).all()
    assert set(source.reads) == {2, 3, 5}
    assert set(source.reads.values()) == {1}
    assert second[1].tobytes() == content_hash(b"0")
    assert images.content_hashes(np.array([], dtype=np.int64)).shape == (0, 16)


def test_names_map_whatever_their_order_and_underscores():
    source = Listed([0, 1, 2], ("ice_cream", "dog", "air plane"))
    for strict in (True, False):
        known = {"air_plane": 0, "dog": 1, "ice cream": 2}
        images = label_by_name(source, known, num_classes=3, strict=strict)
        assert images.labels.tolist() == [2, 1, 0]


def test_folders_must_be_known_by_name():
    source = Listed([0, 1], ("cat", "dgo"))
    with pytest.raises(TaskError, match=r"label without a class name: 'dgo' \(1 of 2"):
        label_by_name(source, {"cat": 0, "dog": 1}, num_classes=2, strict=True)


def test_names_of_a_class_label_may_be_worded_otherwise_if_they_are_as_many():
    source = Listed([1, 0], ("AnnualCrop", "Forest"))
    known = {"annual crop land": 0, "forest": 1}
    assert label_by_name(source, known, num_classes=2, strict=False).labels.tolist() == [1, 0]
    with pytest.raises(TaskError, match="label without a class name: 'AnnualCrop'"):
        label_by_name(source, {**known, "river": 2}, num_classes=3, strict=False)


@pytest.mark.parametrize(("labels", "bad"), [([0, 3], 3), ([-1, 0], -1)])
@pytest.mark.parametrize("names", [None, ("a", "b", "c")])
def test_an_index_out_of_range_is_named(labels, bad, names):
    known = {"a": 0, "b": 1, "c": 2}
    with pytest.raises(TaskError, match=f"label without a class name: {bad} of item {labels.index(bad)}, .*0 to 2"):
        label_by_name(Listed(labels, names), known, num_classes=3, strict=False)


def test_names_that_the_set_has_beside_its_classes_get_minus_one():
    source = Listed([0, 1], ("known", "other"))
    images = label_by_name(source, {"known": 0}, num_classes=1, strict=True, ignored=frozenset({"other"}))
    assert images.labels.tolist() == [0, -1]


def test_an_item_that_cannot_be_read_is_named():
    with pytest.raises(TaskError, match=r"item 99: cannot be read \(not yours\)"):
        LabelledImages(Listed([0] * 100)).read(99)
