import numpy as np
import pytest
import torch
from tiny_clip import random_pixels

from rayforget.evaluate.pixel_stream import num_items, pixel_batches
from rayforget.evaluate.pixels_ahead import on_device

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


@pytest.mark.parametrize("batch_size", [1, 7, 21, 100])
@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_batches_read_ahead_are_the_same_in_the_same_order(batch_size, ahead):
    expected = list(pixel_batches(SETS, batch_size, rank=0, world_size=1))
    found = list(on_device(iter(expected), torch.device("cpu"), ahead=ahead))
    assert len(found) == len(expected)
    for own, other in zip(found, expected, strict=True):
        assert (own.first, own.parts) == (other.first, other.parts)
        assert torch.equal(own.pixels, other.pixels)
        assert torch.equal(own.labels, other.labels)
    assert list(on_device(iter([]), torch.device("cpu"), ahead=ahead)) == []


def test_no_more_batches_than_said_are_read_ahead():
    read = []

    def batches():
        for batch in pixel_batches(SETS, 1, rank=0, world_size=1):
            read.append(batch.first)
            yield batch

    stream = on_device(batches(), torch.device("cpu"), ahead=2)
    next(stream)
    stream.close()  # waits for the reading thread
    assert 2 <= len(read) <= 4


def test_a_batch_that_cannot_be_read_is_told_in_its_turn():
    def batches():
        yield from list(pixel_batches(SETS, 7, rank=0, world_size=1))[:2]
        raise OSError("page 3")

    stream, seen = on_device(batches(), torch.device("cpu"), ahead=3), []
    with pytest.raises(OSError, match="page 3"):
        seen.extend(batch.first for batch in stream)
    assert seen == [0], "the one before was held back for its neighbour's copy"
