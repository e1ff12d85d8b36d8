"""Weights come back bit for bit, and a theta_1 that is not the recorded one is refused."""

import contextlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from rayforget.errors import RecordError
from rayforget.interpolate.hashing import state_hash
from rayforget.record.storage.store import Store
from rayforget.record.weights import load_theta_1, load_weights, save_weights, weights_name


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path)


@pytest.fixture
def theta_0():
    generator = torch.Generator().manual_seed(0)
    shapes = {"b": (3, 5), "a": (1,), "scale": (), "conv": (2, 3, 1, 1), "empty": (0, 4)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def changed(theta_0):
    return {"b": theta_0["b"] * 1.1, "scale": theta_0["scale"] + 1e-7}


@pytest.fixture
def record(make_record, theta_0, changed):
    return replace(
        make_record(trial="t", step=7),
        theta_0_hash=state_hash(theta_0),
        theta_1_hash=state_hash({**theta_0, **changed}),
        changed=tuple(changed),
    )


def test_theta_1_is_rebuilt_bit_for_bit_from_the_changed_tensors(store, theta_0, changed, record):
    num_bytes = save_weights(store, "t", 7, changed)
    assert num_bytes == store.size(weights_name("t", 7))
    assert set(load_weights(store, "t", 7)) == {"b", "scale"}
    theta_1 = load_theta_1(store, record, theta_0)
    assert theta_1.keys() == theta_0.keys()
    for name, tensor in {**theta_0, **changed}.items():
        assert theta_1[name].shape == tensor.shape
        assert theta_1[name].numpy().tobytes() == tensor.numpy().tobytes()
        assert theta_1[name].dtype == torch.float32


def test_views_of_one_buffer_and_transposed_tensors_are_stored_by_value(store):
    buffer = torch.arange(12.0)
    changed = {"x": buffer[:6].view(2, 3), "y": buffer[6:].view(3, 2).t(), "z": torch.nn.Parameter(torch.ones(2))}
    save_weights(store, "t", 1, changed)
    for name, tensor in load_weights(store, "t", 1).items():
        assert torch.equal(tensor, changed[name])


def test_the_file_has_the_bytes_of_safetensors_own(store, changed):
    odd = {"q": torch.randn(3, 5), "scalar": torch.tensor(0.5), "none": torch.zeros(0, 4), 'ü"\\\n': torch.ones(7)}
    for number, tensors in enumerate(({}, changed, odd)):
        size = save_weights(store, "t", number, tensors)
        written = store.read(weights_name("t", number))
        assert written == save({name: tensors[name].detach() for name in sorted(tensors)})
        assert len(written) == size


def test_equal_weights_give_equal_bytes_in_any_order(store, changed):
    save_weights(store, "t", 1, changed)
    save_weights(store, "t", 2, dict(reversed(changed.items())))
    assert store.read(weights_name("t", 1)) == store.read(weights_name("t", 2))


def test_a_training_that_runs_again_replaces_what_it_left(store, theta_0, changed, record):
    save_weights(store, "t", 7, {"b": theta_0["b"]})
    save_weights(store, "t", 7, changed)
    load_theta_1(store, record, theta_0)


def test_a_changed_bit_is_refused_with_the_largest_difference(store, theta_0, changed, record):
    other = {**changed, "b": changed["b"].clone()}
    other["b"][1, 2] += 0.25
    save_weights(store, "t", 7, other)
    with pytest.raises(RecordError, match=r"largest difference to the reference: 0\.25, in b\)"):
        load_theta_1(store, record, theta_0, {**theta_0, **changed})
    with pytest.raises(RecordError, match=f"record has {record.theta_1_hash}; either"):
        load_theta_1(store, record, theta_0)


def test_another_theta_0_is_refused(store, theta_0, changed, record):
    save_weights(store, "t", 7, changed)
    with pytest.raises(RecordError, match="is another model"):
        load_theta_1(store, record, {**theta_0, "a": theta_0["a"] + 1})
    with pytest.raises(RecordError, match="no tensor scale"):
        load_theta_1(store, record, {name: theta_0[name] for name in ("a", "b")})
    with pytest.raises(RecordError, match=r"shape \(3, 5\), theta_0's has \(5, 3\)"):
        load_theta_1(store, record, {**theta_0, "b": theta_0["b"].t()})


def test_every_truncation_is_a_record_error(store, theta_0, changed, record):
    save_weights(store, "t", 7, changed)
    data = store.read(weights_name("t", 7))
    for length in (*range(0, len(data), 17), len(data) - 1):
        store.write(weights_name("t", 7), data[:length])
        with pytest.raises(RecordError, match="t-000007"):
            load_theta_1(store, record, theta_0)


def test_no_flipped_bit_goes_unnoticed(store, theta_0, changed, record):
    save_weights(store, "t", 7, changed)
    data = store.read(weights_name("t", 7))
    header = 8 + int.from_bytes(data[:8], "little")
    for position in (*range(0, header, 3), *range(header, len(data), 5)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        store.write(weights_name("t", 7), bytes(damaged))
        if position >= header:
            with pytest.raises(RecordError, match="t-000007"):
                load_theta_1(store, record, theta_0)
            continue
        with contextlib.suppress(RecordError):  # some header bits are padding
            assert state_hash(load_theta_1(store, record, theta_0)) == record.theta_1_hash


def test_weights_that_were_not_kept_or_never_were_are_explained(store, theta_0, record):
    with pytest.raises(RecordError, match="were not kept"):
        load_theta_1(store, record, theta_0)
    failed = replace(record, status="failed", theta_1_hash=None, reason="loss is nan")
    with pytest.raises(RecordError, match="failed and has no weights: loss is nan"):
        load_theta_1(store, failed, theta_0)


def test_weights_that_are_not_fp32_are_refused(store):
    with pytest.raises(RecordError, match=r"x is torch\.bfloat16, expected torch\.float32"):
        save_weights(store, "t", 1, {"x": torch.ones(2, dtype=torch.bfloat16)})
