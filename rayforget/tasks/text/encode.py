"""Texts -> token ids, exactly as lm-eval's `HFLM` makes them."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.heartbeat import beat
from rayforget.tasks.text.documents import canonical

TokenPair = tuple[list[int], list[int]]
"""Context and continuation."""
_CHUNK = 2000
"""Texts per call of the tokenizer."""


def encode_texts(
    tokenizer: Any, texts: Sequence[str], *, special: bool | None = None, prefix_token: int | None = None
) -> list[list[int]]:
    """Token ids of each text; equal texts are encoded once.

    Args:
        tokenizer: a tokenizer of transformers.
        texts: any texts.
        special: whether the tokenizer adds its special tokens; None leaves it to the tokenizer.
        prefix_token: if `special` is None, a text that starts with this token spelled out gets no special tokens; None
            disables this rule.
    """
    spelled = None if special is not None or prefix_token is None else tokenizer.decode(prefix_token)
    known: dict[str, list[int]] = {}
    kinds: dict[bool | None, list[str]] = {}
    for text in dict.fromkeys(texts):
        without = spelled is not None and text.startswith(spelled)
        kinds.setdefault(False if without else special, []).append(text)
    for kind, distinct in kinds.items():
        options = {} if kind is None else {"add_special_tokens": kind}
        for first in range(0, len(distinct), _CHUNK):
            beat("tokenise", first, len(distinct))
            chunk = distinct[first : first + _CHUNK]
            ids = tokenizer(chunk, return_attention_mask=False, verbose=False, **options)["input_ids"]
            known |= zip(chunk, ids, strict=True)
    return [known[text] for text in texts]


def encode_pairs(tokenizer: Any, pairs: Sequence[tuple[str, str]], *, prefix_token: int | None) -> list[TokenPair]:
    """Context and continuation ids of each pair, as lm-eval's `_encode_pair` splits them.

    Blanks at the end of a context go to the continuation, since tokenizers join a blank with the word after it; the
    continuation is what the whole has beyond the context alone. An empty context becomes `prefix_token`, and the
    continuation then gets no special tokens; without a prefix token its own first token becomes the context.
    """
    moved = [_move_blanks(context, continuation) for context, continuation in pairs]
    filled = [pair for pair in moved if pair[0]]
    contexts = encode_texts(tokenizer, [context for context, _ in filled], prefix_token=prefix_token)
    wholes = encode_texts(tokenizer, ["".join(pair) for pair in filled], prefix_token=prefix_token)
    alone = encode_texts(tokenizer, [continuation for context, continuation in moved if not context], special=False)
    split = iter([(context, whole[len(context) :]) for context, whole in zip(contexts, wholes, strict=True)])
    bare = iter([_after_prefix(ids, prefix_token) for ids in alone])
    return [next(split) if context else next(bare) for context, _ in moved]


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


def _after_prefix(ids: list[int], prefix_token: int | None) -> TokenPair:
    if prefix_token is None or ids[:1] == [prefix_token]:
        return ids[:1], ids[1:]
    return [prefix_token], ids
