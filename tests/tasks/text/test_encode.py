import itertools

import numpy as np
import pytest
from lm_eval_peer import NotingHFLM, tiny_opt
from tokenizers_here import tokenizer

from rayforget.tasks.text.encode import encode_pairs, encode_texts, joined, tokenizer_identity

PAIRS = [
    ("Question: Why?\nAnswer:", " because"),
    ("Question: Why?\nAnswer: ", "because"),
    ("Question: Why?\nAnswer:\n", " because"),
    ("Question: Why?\nAnswer:", "because"),
    ("x", "y"),
    ("", " alone"),
    ("", "<s> marked"),
    ("<s>Question", " marked"),
    ("été 1,234", " répondu ✓"),
    ("Question: Why?\nAnswer:", " because"),
]


@pytest.mark.parametrize("bos", [False, True])
def test_pairs_are_split_as_hflm_splits_them(bos):
    from lm_eval.api.instance import Instance

    tok = tokenizer(bos=bos)
    peer = NotingHFLM(tiny_opt(len(tok)), tok, max_length=64)
    peer.loglikelihood(
        [Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0) for pair in PAIRS], disable_tqdm=True
    )
    ours = encode_pairs(tok, PAIRS, prefix_token=peer.prefix_token_id)
    assert [([*context, *continuation], len(context)) for context, continuation in ours] == peer.noted


def test_without_a_prefix_token_the_first_token_is_the_context():
    tok = tokenizer(bos=False)
    whole = tok("alone", add_special_tokens=False)["input_ids"]
    assert encode_pairs(tok, [("", "alone")], prefix_token=None) == [(whole[:1], whole[1:])]


@pytest.mark.parametrize("bos", [False, True])
def test_equal_texts_have_equal_tokens_one_by_one(bos):
    tok = tokenizer(bos=bos)
    texts = ["a cat", "", "a dog", "a cat", "<s>a cat"]
    assert encode_texts(tok, texts) == [tok.encode(text) for text in texts]
    assert encode_texts(tok, texts, special=False) == [tok.encode(text, add_special_tokens=False) for text in texts]
    assert encode_texts(tok, texts, prefix_token=0)[-1] == tok.encode("<s>a cat", add_special_tokens=False)


@pytest.mark.parametrize("sequences", [[], [[]], [[1]], [[1, 2], [], [3]]])
def test_joined_sequences_come_apart_again(sequences):
    tokens, starts = joined(sequences)
    assert (tokens.dtype, starts.dtype) == (np.int32, np.int64)
    assert [tokens[a:b].tolist() for a, b in itertools.pairwise(starts)] == sequences


def test_a_tokenizer_is_known_by_its_rules():
    one = tokenizer_identity(tokenizer(bos=False))
    assert one == tokenizer_identity(tokenizer(bos=False))
    assert one != tokenizer_identity(tokenizer(bos=True))
    assert len(one) == 32
