"""Rows hold every pair once, and no token sees what is not in its pair."""

import numpy as np
import pytest
import torch
from tiny_language import MIXED, NO_PAIRS, random_pairs

from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.head import causal_mask
from rayforget.foundations.causal_lm.scoring.token_rows import row_batches
from rayforget.tasks.text.types import Pairs

FILLER = 9999


def batches_of(pairs, *, max_length=64, batch_tokens=64, share_prefixes=True):
    return row_batches(
        pairs, max_length=max_length, batch_tokens=batch_tokens, filler=FILLER, share_prefixes=share_prefixes
    )


def what_is_seen(batch):
    """Per target: (pair, target token, the tokens that its source sees, in the order of their positions)."""
    rows, length = batch.tokens.shape
    if batch.positions is None:
        positions = torch.arange(length).expand(rows, length)
        mask = torch.ones(length, length).tril().bool().expand(rows, 1, length, length)
    else:
        positions, mask = batch.positions, causal_mask(batch.sequences, batch.branches)
    for source, target, pair in zip(batch.sources.tolist(), batch.targets.tolist(), batch.pairs.tolist(), strict=True):
        row, entry = divmod(source, batch.columns.shape[1])
        column = batch.columns[row, entry]
        visible = mask[row, 0, column]
        where = positions[row][visible]
        assert sorted(where.tolist()) == list(range(len(where))), "a position is missing or taken twice"
        assert positions[row, column] == len(where) - 1, "the source is not the last that it sees"
        yield pair, target, batch.tokens[row][visible][where.argsort()].tolist()


def what_is_asked(pairs, max_length):
    for number, context in enumerate(pairs.continuations):
        tokens = pairs.tokens[pairs.starts[number] : pairs.starts[number + 1]].tolist()
        excess = max(0, len(tokens) - max_length - 1)
        for index in range(context, len(tokens)):
            yield number, tokens[index], tokens[excess:index]


@pytest.mark.parametrize("share_prefixes", [True, False])
@pytest.mark.parametrize(("batch_tokens", "max_length"), [(1, 64), (31, 64), (64, 64), (10**6, 64), (64, 10)])
def test_every_target_is_predicted_once_and_from_its_own_pair_alone(batch_tokens, max_length, share_prefixes):
    batches = batches_of(MIXED, max_length=max_length, batch_tokens=batch_tokens, share_prefixes=share_prefixes)
    seen = sorted(each for batch in batches for each in what_is_seen(batch))
    assert seen == sorted(what_is_asked(MIXED, max_length))


def test_a_context_with_several_continuations_is_held_once():
    (batch,) = batches_of(random_pairs([(20, [4, 4, 4])]))
    assert batch.tokens.shape == (1, 20 + 2 + 3 * 1)  # the continuations' common part is on the stem too


def test_continuations_of_one_token_leave_a_plain_row_of_the_context():
    (batch,) = batches_of(random_pairs([(20, [1, 1, 1])]))
    assert batch.tokens.shape == (1, 20)
    assert batch.positions is batch.branches is batch.sequences is None
    assert batch.columns.tolist() == [[19]]
    assert batch.sources.tolist() == [0, 0, 0]


def test_a_continuation_that_begins_another_one_is_held_once():
    tokens = np.array([9, 1, 2, 3, 9, 1, 2, 3, 4, 5], dtype=np.int32)
    pairs = Pairs(tokens=tokens, starts=np.array([0, 4, 10]), continuations=np.array([2, 2], dtype=np.int32))
    (batch,) = batches_of(pairs)
    assert batch.tokens.tolist() == [[9, 1, 2, 3, 4]]
    assert batch.positions is None


def test_different_contexts_with_one_continuation_take_plain_rows():
    tokens = np.array([1, 2, 3, 8, 9, 1, 7, 3, 8, 9], dtype=np.int32)  # winogrande: the contexts differ in the middle
    pairs = Pairs(tokens=tokens, starts=np.array([0, 5, 10]), continuations=np.array([3, 3], dtype=np.int32))
    (batch,) = batches_of(pairs)
    assert batch.positions is None
    assert batch.tokens.tolist() == [[1, 2, 3, 8], [1, 7, 3, 8]]


@pytest.mark.parametrize("batch_tokens", [1, 31, 64, 10**6])
def test_batches_are_longest_first_and_no_larger_than_asked(batch_tokens):
    batches = batches_of(MIXED, batch_tokens=batch_tokens)
    widths = [batch.tokens.shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)
    assert all(len(batch.tokens) == 1 or batch.tokens.numel() <= batch_tokens for batch in batches)


def test_branches_that_are_longer_than_a_batch_are_divided():
    batches = batches_of(random_pairs([(10, [10] * 9)]), batch_tokens=50)
    assert [sorted(set(batch.pairs.tolist())) for batch in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_context_that_is_longer_than_a_batch_is_still_held_once():
    (batch,) = batches_of(random_pairs([(60, [1, 1, 1])]), batch_tokens=50)
    assert batch.tokens.shape == (1, 60)


def test_the_same_pairs_give_the_same_batches():
    for one, other in zip(batches_of(MIXED), batches_of(MIXED), strict=True):
        assert torch.equal(one.tokens, other.tokens)
        assert torch.equal(one.sources, other.sources)


def test_no_pairs_give_no_batches():
    assert batches_of(NO_PAIRS) == ()


@pytest.mark.parametrize(("context", "continuation", "text"), [(0, 2, "both need one"), (2, 0, "both need one")])
def test_a_pair_without_context_or_continuation_is_refused(context, continuation, text):
    tokens = np.zeros(context + continuation, dtype=np.int32)
    pairs = Pairs(tokens=tokens, starts=np.array([0, len(tokens)]), continuations=np.array([context], dtype=np.int32))
    with pytest.raises(TaskError, match=text):
        batches_of(pairs)


def test_a_continuation_longer_than_the_model_is_refused():
    with pytest.raises(TaskError, match="11 tokens, the model takes 10"):
        batches_of(random_pairs([(2, [11])]), max_length=10)


def computed(batches):
    """(number of computed tokens, total number of tokens that they attend to)."""
    return sum(b.tokens.numel() for b in batches), sum(b.tokens.numel() * b.tokens.shape[1] for b in batches)


@pytest.mark.parametrize("length", [20, 48, 64])
def test_windows_of_long_texts_share_no_bare_beginning_mark(length):
    random = np.random.default_rng(0)
    texts = [np.concatenate([[0], random.integers(3, 300, length)]).astype(np.int32) for _ in range(12)]
    starts = np.arange(13) * (length + 1)
    pairs = Pairs(tokens=np.concatenate(texts), starts=starts, continuations=np.ones(12, dtype=np.int32))
    batches = batches_of(pairs, batch_tokens=10**4)
    assert all(batch.positions is None for batch in batches)
    assert computed(batches) == (12 * length, 12 * length**2)


@pytest.mark.parametrize(("context", "branches"), [(2, [60] * 40), (64, [3] * 400), (1500, [500] * 30)])
def test_a_shared_row_is_bounded_by_the_model_and_computes_less(context, branches):
    pairs = random_pairs([(context, branches)])
    settings = {"max_length": 2048, "batch_tokens": 10**6}
    shared, plain = (batches_of(pairs, share_prefixes=share, **settings) for share in (True, False))
    assert max(batch.tokens.shape[1] for batch in shared) <= 2 * 2048
    assert computed(shared)[0] <= computed(plain)[0]
    cost = [
        tokens + looks / (1 if dense else 2) / 2048
        for dense, (tokens, looks) in enumerate(map(computed, (plain, shared)))
    ]
    assert cost[1] <= 1.05 * cost[0]


def test_texts_of_a_task_are_rows_of_their_own(tmp_path):
    import json

    from tiny_language import tiny_tokenizer

    from rayforget.space.tasks.text import JsonLinesSource, PlainTextTask
    from rayforget.tasks.text.requests import task_requests
    from rayforget.tasks.text.resolve import resolve_text_tasks

    splits = {}
    for split, first in (("val", 0), ("test", 50)):
        path = tmp_path / f"{split}.jsonl"
        rows = [{"text": f"The {first + i} cats. " * (3 + 2 * i)} for i in range(9)]
        path.write_text("\n".join(map(json.dumps, rows)))
        splits[split] = JsonLinesSource(kind="jsonl", path=path)
    task = PlainTextTask(kind="text", role="generality", group="g", **splits)
    resolved = resolve_text_tasks({"t": task})["t"]
    asked = task_requests(resolved, "val", tiny_tokenizer(), max_length=64, prefix_token=0, cache=tmp_path / "cache")
    lengths = np.diff(asked.pairs.starts) - 1
    assert len(lengths) > 9  # some are cut into windows
    batches = batches_of(asked.pairs, max_length=64, batch_tokens=10**4)
    assert all(batch.positions is None for batch in batches)
    assert sum(int((batch.tokens != FILLER).sum()) for batch in batches) == lengths.sum()
