"""The space that a sweep was created with is the one that is read, or none is."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_sweep import make_space, make_sweep, reseal_space

from rayforget.errors import RecordError
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.space_of import space_of
from rayforget.record.standing import roles_of, trainings_of
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, space_digest


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return make_sweep(make_space(tmp_path, trainings=24, seeds=3), "s", at=1.0)


def opened(sweep: Sweep, tmp_path: Path) -> Sweep:
    return Sweep.open(Store.open(tmp_path), "s")


@pytest.mark.parametrize("name", ["space.json", "sweep.json"])
def test_every_flip_of_a_bit_is_refused_by_whatever_reads_it(sweep: Sweep, tmp_path: Path, name: str) -> None:
    path = tmp_path / "s" / name
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 150, replace=False):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        for read in (space_of, roles_of, trainings_of):
            with pytest.raises(RecordError, match=name.replace(".", r"\.")):
                read(opened(sweep, tmp_path))
    path.write_bytes(whole)
    assert space_of(opened(sweep, tmp_path)) == space_of(sweep)


def test_the_digest_is_made_by_create_and_a_sweep_without_one_stays_readable(sweep: Sweep, tmp_path: Path) -> None:
    space = space_of(sweep)
    assert opened(sweep, tmp_path).info.space_digest == space_digest(space.model_dump(mode="json"))
    path = tmp_path / "s" / "sweep.json"
    body = open_sealed("sweep", path.read_bytes(), "")
    del body["space_digest"]
    path.write_bytes(seal("sweep", body))
    assert space_of(opened(sweep, tmp_path)) == space


def test_a_space_that_was_resealed_is_read(sweep: Sweep, tmp_path: Path) -> None:
    text = sweep.space_json().decode().replace('"trainings":24', '"trainings":30')
    reseal_space(tmp_path / "s", text)
    assert space_of(opened(sweep, tmp_path)).search.trainings == 30
