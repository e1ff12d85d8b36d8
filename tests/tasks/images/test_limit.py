"""A quick look takes some of a set's images, evenly from all classes, and is a data set of its own."""

from pathlib import Path

import numpy as np
import pytest

from rayforget.space.tasks.data import FolderSource, ZeroShotTask
from rayforget.tasks.identity import data_identity
from rayforget.tasks.images.limit import limited
from rayforget.tasks.resolve import resolve_tasks


@pytest.mark.parametrize(
    ("counts", "limit", "expected"),
    [
        ([5, 5, 5], 7, [3, 2, 2]),
        ([1, 9, 9], 7, [1, 3, 3]),
        ([0, 4, 1], 99, [0, 4, 1]),
        ([3, 3, 3, 3], 2, [1, 0, 1, 0]),
        ([7], 1, [1]),
        ([2, 100, 30], 60, [2, 29, 29]),
    ],
)
def test_classes_have_equal_shares_as_far_as_they_have_items(counts, limit, expected):
    labels = np.random.default_rng(0).permutation(np.repeat([-1, *range(len(counts))], [4, *counts]))
    taken = limited(labels, limit, by_class=True)
    kept = taken >= 0
    assert np.bincount(taken[kept], minlength=len(counts)).tolist() == expected
    assert (taken[kept] == labels[kept]).all()
    assert np.count_nonzero(limited(labels, limit, by_class=False) >= 0) == min(limit, sum(counts))


def test_items_of_a_class_are_spread_over_its_order():
    assert np.flatnonzero(limited(np.zeros(9, dtype=np.int64), 3, by_class=True) >= 0).tolist() == [0, 3, 6]
    assert np.flatnonzero(limited(np.arange(8), 4, by_class=False) >= 0).tolist() == [0, 2, 4, 6]


def test_a_limited_set_is_another_set_and_the_same_each_time(image_folder):
    def folder(path: Path, limit: int | None = None) -> FolderSource:
        return FolderSource(kind="folder", path=path, limit=limit)

    paths = [image_folder(split, {"cat": 6, "dog": 3}) for split in ("train", "val", "test")]

    def resolved(limit: int | None):
        train, val, test = (folder(path, limit) for path in paths)
        splits = {"train": train, "val": val, "test": test}
        return resolve_tasks({"t": ZeroShotTask(kind="zero_shot", role="speciality", templates=("a {}",), **splits)})

    few = resolved(4)["t"].splits["val"]
    assert few.expected_count == len(few.indices) == 4
    assert few.source.labels[few.indices].tolist() == [0, 0, 1, 1]
    whole, once, again, other = (data_identity(resolved(limit))["tasks.t.train"] for limit in (None, 4, 4, 5))
    assert once == again
    assert len({whole, once, other}) == 3


def test_what_is_written_of_a_source_without_a_limit_is_as_before():
    assert "limit" not in FolderSource(kind="folder", path=Path("/a")).model_dump()
    assert FolderSource(kind="folder", path=Path("/a"), limit=3).model_dump()["limit"] == 3
