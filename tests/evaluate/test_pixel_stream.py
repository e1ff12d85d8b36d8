import numpy as np
import pytest
from tiny_clip import random_pixels

from rayforget.evaluate.pixel_stream import num_items, pixel_batches

SETS = [random_pixels(count, 3, size=2, seed=count) for count in (5, 1, 12, 3)]
ALL_PIXELS = np.concatenate([each.pixels for each in SETS])
ALL_LABELS = np.concatenate([each.labels for each in SETS])


@pytest.mark.parametrize("world_size", [1, 2, 3, 40])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 21, 100])
def test_every_item_comes_once_in_its_place_and_set(batch_size, world_size):
    seen = []
    for rank in range(world_size):
        for batch in pixel_batches(SETS, batch_size, rank=rank, world_size=world_size):
            count = len(batch.labels)
            assert 1 <= count <= batch_size
            place = range(batch.first, batch.first + count)
            assert np.array_equal(batch.pixels, ALL_PIXELS[place])
            assert np.array_equal(batch.labels, ALL_LABELS[place])
            members = [(index, place[item]) for index, items in batch.parts for item in range(count)[items]]
            seen.extend(members)
    owner = [index for index, each in enumerate(SETS) for _ in each.labels]
    assert seen == list(zip(owner, range(num_items(SETS)), strict=True))


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_ranks_share_alike(world_size):
    counts = [
        sum(len(batch.labels) for batch in pixel_batches(SETS, 4, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert max(counts) - min(counts) <= 1
