"""Texts -> token ids, as lm-eval's `HFLM` makes them for tokenizers that it serves well; for training and scoring."""

from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.heartbeat import beat
from rayforget.tasks.text.documents import canonical
from rayforget.tasks.text.marks import marks_before

TokenPair = tuple[list[int], list[int]]
"""Context and continuation."""
_CHUNK = 2000
"""Texts per call of the tokenizer."""


def encode_texts(tokenizer: Any, texts: Sequence[str], *, prefix_token: int) -> list[list[int]]:
    """Token ids of each text after the tokenizer's beginning mark, which stands there once; no end mark.

    A text whose first token is already its beginning mark, or `prefix_token`, since it spells it, gets no other.

    Args:
        tokenizer: a tokenizer of transformers.
        texts: any texts.
        prefix_token: the beginning mark, else the end mark.
    """
    marks = marks_before(tokenizer)
    return [
        ids if ids[:1] == [prefix_token] or ids[: len(marks)] == marks else [*marks, *ids]
        for ids in encode_bare(tokenizer, texts)
    ]


def encode_bare(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text without marks; equal texts are encoded once."""
    known: dict[str, list[int]] = {}
    distinct = list(dict.fromkeys(texts))
    for first in range(0, len(distinct), _CHUNK):
        beat("tokenise", first, len(distinct))
        chunk = distinct[first : first + _CHUNK]
        ids = tokenizer(chunk, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        known |= zip(chunk, ids, strict=True)
    return [known[text] for text in texts]


def encode_pairs(
    tokenizer: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    prefix_token: int,
    adds_marks: bool = True,
    moves_blanks: bool = True,
) -> list[TokenPair]:
    """Context and continuation ids of each pair; together they are the ids of the whole.

    Blanks at the end of a context go to the continuation, since tokenizers join a blank with the word after it; the
    continuation is what the whole has beyond the context alone. An empty context becomes `prefix_token`, and the
    continuation then gets no marks. So far this is lm-eval's `_encode_pair`. Where a tokenizer joins the end of the
    context with the beginning of a continuation, that token belongs to the continuation (lm-eval loses it), for all
    continuations of this context, so that they are asked for after the same tokens.

    Args:
        tokenizer: a tokenizer of transformers.
        pairs: texts of context and continuation.
        prefix_token: the beginning mark, else the end mark.
        adds_marks: false for the text of a chat template, which writes its own.
        moves_blanks: false keeps blanks at the end of a context where they are.
    """
    moved = [_move_blanks(*pair) for pair in pairs] if moves_blanks else list(pairs)
    marked = partial(encode_texts, tokenizer, prefix_token=prefix_token)
    encode = marked if adds_marks else partial(encode_bare, tokenizer)
    filled = [pair for pair in moved if pair[0]]
    contexts = encode([context for context, _ in filled])
    wholes = encode(["".join(pair) for pair in filled])
    alone = encode_bare(tokenizer, [continuation for context, continuation in moved if not context])
    kept: dict[str, int] = {}
    for (context, _), ids, whole in zip(filled, contexts, wholes, strict=True):
        kept[context] = min(kept.get(context, len(ids)), _shared_prefix(ids, whole))
    split = iter(
        [
            (whole[: kept[context]], whole[kept[context] :]) if kept[context] else after_prefix(whole, prefix_token)
            for (context, _), whole in zip(filled, wholes, strict=True)
        ]
    )
    bare = iter([after_prefix(ids, prefix_token) for ids in alone])
    return [next(split) if context else next(bare) for context, _ in moved]


def after_prefix(ids: list[int], prefix_token: int) -> TokenPair:
    """The ids after `prefix_token`, which is their own first or is put before them."""
    return (ids[:1], ids[1:]) if ids[:1] == [prefix_token] else ([prefix_token], ids)


def joined(sequences: Iterable[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The sequences concatenated, and where each starts (with one more entry: where the last ends)."""
    listed = list(sequences)
    starts = np.zeros(len(listed) + 1, dtype=np.int64)
    np.cumsum([len(sequence) for sequence in listed], out=starts[1:])
    tokens = np.fromiter((token for sequence in listed for token in sequence), np.int32, int(starts[-1]))
    return tokens, starts


def tokenizer_identity(tokenizer: Any) -> str:
    """32 hex digits over everything that decides a tokenizer's ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend is not None else canonical(tokenizer.get_vocab()).decode()
    probe = tokenizer(["A question?\n 1,234 répondu"], verbose=False)["input_ids"]
    kept = [type(tokenizer).__name__, tokenizer.special_tokens_map, probe, rules]
    return sha256(canonical(kept)).hexdigest()[:32]


def _move_blanks(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    # A context of blanks alone becomes empty, for which lm-eval fails an assertion.
    return kept, context[len(kept) :] + continuation


def _shared_prefix(one: list[int], other: list[int]) -> int:
    """Length of the longest common prefix."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
