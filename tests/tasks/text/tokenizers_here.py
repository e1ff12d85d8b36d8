"""Small tokenizers of the kinds that matter: with or without a beginning mark before a text, an end mark behind it."""

from functools import cache
from typing import Any

TEXTS = [
    "Question: What is the colour of the sky?\nAnswer: blue",
    "Instruction: Say it again.\nInput: one two three\nOutput: one two three",
    "A cat and a dog sat on the mat, and then the rain came. 0 1 2 3 4 5 6 7 8 9",
    "Which of these is a fruit: an apple, a table or a stone?",
]


@cache
def tokenizer(*, bos: bool, eos: bool = False) -> Any:
    """Byte-level BPE with <s> (0) and </s> (1); `bos` puts <s> before every text, `eos` puts </s> behind it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    made.train_from_iterator(TEXTS, trainer)
    if bos or eos:
        marked = f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}"
        made.post_processor = processors.TemplateProcessing(single=marked, special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
