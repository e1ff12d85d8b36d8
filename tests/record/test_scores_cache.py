"""Cached scores are found for exactly what they were computed for."""

from dataclasses import replace

import numpy as np
import pytest

from rayforget.errors import StorageError
from rayforget.record.scores_cache import ScoresCache, ScoresKey
from rayforget.record.storage.store import Store

KEY = ScoresKey(weights_hash="w", items_hash="i", classifier="zero-shot", code_version="c")


def test_scores_come_back_for_their_key_alone(tmp_path, make_score, assert_same):
    rng = np.random.default_rng(0)
    scores = {"photo": make_score(rng, 9, "bits"), "text": make_score(rng, 7, "weighted")}
    cache = ScoresCache(Store.open(tmp_path))
    assert cache.get(KEY) is None
    cache.put(KEY, scores)
    assert_same(cache.get(KEY), scores)
    for field in ("weights_hash", "items_hash", "classifier", "code_version"):
        assert cache.get(replace(KEY, **{field: "other"})) is None
    other = {"photo": make_score(rng, 9, "bits")}
    cache.put(KEY, other)
    assert_same(ScoresCache(Store.open(tmp_path)).get(KEY), other)


def test_a_storage_that_refuses_is_no_damaged_entry(tmp_path):
    cache = ScoresCache(Store.open(tmp_path))
    (tmp_path / KEY.name).mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be read"):
        cache.get(KEY)
    assert (tmp_path / KEY.name).is_dir()


def test_parts_of_the_key_cannot_trade_places():
    names = {replace(KEY, weights_hash=a, items_hash=b).name for a, b in (("x", "yz"), ("xy", "z"), ("yz", "x"))}
    assert len(names) == 3


def test_a_damaged_entry_is_reported_and_computed_again(tmp_path, make_score, caplog):
    store = Store.open(tmp_path)
    cache = ScoresCache(store)
    cache.put(KEY, {"photo": make_score(np.random.default_rng(0), 9, "bits")})
    store.write(KEY.name, store.read(KEY.name)[:-5])
    assert cache.get(KEY) is None
    assert "will be computed again" in caplog.text
    assert not store.exists(KEY.name)


def test_an_entry_under_a_foreign_name_is_not_used(tmp_path, make_score):
    store = Store.open(tmp_path)
    cache = ScoresCache(store)
    cache.put(KEY, {"photo": make_score(np.random.default_rng(0), 9, "bits")})
    other = replace(KEY, weights_hash="other")
    store.write(other.name, store.read(KEY.name))
    assert cache.get(other) is None


@pytest.mark.parametrize("num_items", [1, 1001])
def test_sizes_survive(tmp_path, make_score, assert_same, num_items):
    cache = ScoresCache(Store.open(tmp_path))
    scores = {"t": make_score(np.random.default_rng(0), num_items, "float32")}
    cache.put(KEY, scores)
    assert_same(cache.get(KEY), scores)
