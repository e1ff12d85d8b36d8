"""Texts -> a tokenizer in the hub's folder format: one piece for each of their words, bytes for all else."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import ByteLevel

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""Ids 0 to 3, as in OPT; <s> and <unk> are never used."""
PAD, END = 1, 2
_WORD_SCORE, _BYTE_SCORE = -10.0, -30.0
"""Log-probabilities whose best sum uses as few pieces as possible, and words rather than bytes."""


def build_tokenizer(texts: Iterable[str], *, max_length: int) -> Any:
    """A transformers tokenizer that encodes every word of `texts` in one piece and any other text in bytes.

    Words include the space before them, as in GPT-2 and OPT; the beginning of a text gets no space and no token.

    Args:
        texts: in any order.
        max_length: the longest input of the model, in tokens; longer ones draw a warning.
    """
    from transformers import PreTrainedTokenizerFast

    cutter = ByteLevel(add_prefix_space=False)
    alphabet = sorted(ByteLevel.alphabet())
    words = {word for text in texts for word, _ in cutter.pre_tokenize_str(text)} - set(alphabet)
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [(piece, _BYTE_SCORE) for piece in alphabet] + [(word, _WORD_SCORE) for word in sorted(words)]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        model_max_length=max_length,
    )
