import hashlib

import numpy as np
import pytest

from rayforget.tasks.images.contents import content_hash
from rayforget.tasks.images.cut import in_val


def hashes(count: int, start: int = 0) -> np.ndarray:
    rows = [np.frombuffer(content_hash(f"item {i}".encode()), np.uint8) for i in range(start, start + count)]
    return np.array(rows).reshape(count, 16)


def test_the_half_depends_on_content_and_seed_alone():
    items = hashes(501)
    whole = in_val(items, seed=3, val_share=0.5)
    order = np.random.default_rng(0).permutation(501)
    assert (in_val(items[order], seed=3, val_share=0.5) == whole[order]).all()
    for index in (0, 250, 500):
        assert in_val(items[index : index + 1], seed=3, val_share=0.5) == whole[index]


def test_copies_land_in_the_same_half():
    items = np.concatenate([hashes(99), hashes(99)])
    halves = in_val(items, seed=0, val_share=0.5)
    assert (halves[:99] == halves[99:]).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_met_within_four_standard_errors(share):
    count = 4000
    error = np.sqrt(share * (1 - share) / count)
    assert abs(in_val(hashes(count), seed=1, val_share=share).mean() - share) < 4 * error


def test_a_larger_share_only_adds():
    items = hashes(999)
    small, large = (in_val(items, seed=5, val_share=share) for share in (0.3, 0.6))
    assert (large | ~small).all()
    assert small.sum() < large.sum()


def test_seeds_give_independent_cuts():
    items = hashes(4000)
    one, other = (in_val(items, seed=seed, val_share=0.5) for seed in (0, 1))
    assert abs((one == other).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_equals_its_equation():
    items = hashes(65)
    for row, chosen in zip(items, in_val(items, seed=12, val_share=0.4), strict=True):
        digest = hashlib.blake2b(row.tobytes(), digest_size=8, key=b"12", person=b"rayforget cut").digest()
        assert chosen == (int.from_bytes(digest, "little") / 2**64 < 0.4)


def test_nothing_is_cut_into_nothing():
    assert in_val(hashes(0), seed=0, val_share=0.5).shape == (0,)
