import itertools

import numpy as np
import pytest
from lm_eval_peer import NotingHFLM, tiny_opt
from tokenizers_here import tokenizer

from rayforget.errors import TaskError
from rayforget.tasks.text.encode import encode_bare, encode_pairs, encode_texts, joined, tokenizer_identity
from rayforget.tasks.text.marks import marks_before

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


@pytest.mark.parametrize("bos", [False, True])
def test_what_a_tokenizer_puts_behind_a_text_is_never_between_context_and_continuation(bos):
    right, adding = tokenizer(bos=bos), tokenizer(bos=bos, eos=True)
    assert adding("a cat")["input_ids"][-1] == 1
    texts = [context for context, _ in PAIRS]
    assert encode_texts(adding, texts, prefix_token=0) == encode_texts(right, texts, prefix_token=0)
    assert encode_pairs(adding, PAIRS, prefix_token=0) == encode_pairs(right, PAIRS, prefix_token=0)


def test_a_token_over_the_border_belongs_to_every_continuation_of_its_context():
    """` one` is a token, so that ` on` is none of the whole."""
    tok = tokenizer(bos=True)
    pairs = [("Say: on", "e two"), ("Say: on", " two"), ("Say", " it")]
    (one, two), (bare, other), untouched = encode_pairs(tok, pairs, prefix_token=0)
    assert one == bare
    assert tok.decode(two) == " one two"
    assert tok.decode(other) == " on two"
    assert [*one, *two] == tok.encode("Say: one two")
    assert untouched == (tok.encode("Say"), tok.encode(" it", add_special_tokens=False))
    assert encode_pairs(tokenizer(bos=False), [(" on", "e")], prefix_token=0) == [([0], tok.encode(" one")[1:])]


def test_a_tokenizer_that_marks_a_text_inside_is_refused():
    class Odd:
        all_special_ids = (0,)

        def __call__(self, text, *, add_special_tokens, **_):
            return {"input_ids": [5, 0, 6] if add_special_tokens else [5, 6]}

    with pytest.raises(TaskError, match=r"makes \[5, 6\] of 'a', and \[5, 0, 6\] with its marks"):
        marks_before(Odd())


@pytest.mark.parametrize("unknown", [None, "<s>"])
def test_a_mark_is_found_where_the_alphabet_has_no_latin_letters(unknown):
    """An unknown letter has no token, or that of <s> itself."""
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1, "好": 2, "你": 3}, merges=[], unk_token=unknown))
    made.add_special_tokens(["<s>", "</s>"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tok = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
    assert encode_texts(tok, ["你好"], prefix_token=0) == [[0, 3, 2]]


def test_a_mark_that_is_spelled_in_letters_is_none():
    from transformers import PreTrainedTokenizerFast

    backend = tokenizer(bos=True).backend_tokenizer
    tok = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", split_special_tokens=True
    )
    letters = tok("<s>a cat", add_special_tokens=False)["input_ids"]
    assert letters[0] != 0
    assert encode_texts(tok, ["<s>a cat"], prefix_token=0) == [[0, *letters]]


@pytest.mark.parametrize("bos", [False, True])
def test_equal_texts_have_equal_tokens_one_by_one(bos):
    tok = tokenizer(bos=bos)
    texts = ["a cat", "", "a dog", "a cat"]
    assert encode_texts(tok, texts, prefix_token=0) == [tok.encode(text) for text in texts]
    assert encode_bare(tok, texts) == [tok.encode(text, add_special_tokens=False) for text in texts]
    assert encode_texts(tok, ["<s>a cat"], prefix_token=0) == [tok.encode("<s>a cat", add_special_tokens=False)]


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
