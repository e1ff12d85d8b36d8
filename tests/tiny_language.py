"""Small causal language models with random weights and real architectures, with a tokenizer made on the spot."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.interpolate.hashing import state_hash
from rayforget.tasks.text.types import Generations, PairResults, Pairs, TaskRequests

CPU = torch.device("cpu")
KINDS = ("opt", "llama", "neox", "qwen2")
TEXTS = [
    "Question: What is the colour of the sky?\nAnswer: blue",
    "Question: Which of these is a fruit?\nAnswer: an apple",
    "A cat and a dog sat on the mat, and then the rain came. 0 1 2 3 4 5 6 7 8 9",
    "Instruction: Say it again.\nInput: one two three\nOutput: one two three",
]


@cache
def tiny_tokenizer() -> Any:
    """Byte-level BPE of 340 pieces: <s> is 0, <pad> 1, </s> 2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", pad_token="<pad>", eos_token="</s>")


def _lm(kind: str, positions: int) -> Any:
    import transformers as hf

    own = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": positions}
    own |= {"vocab_size": len(tiny_tokenizer()), "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    match kind:
        case "opt":
            return hf.OPTForCausalLM(hf.OPTConfig(**own, ffn_dim=48, word_embed_proj_dim=32))
        case "llama":
            return hf.LlamaForCausalLM(hf.LlamaConfig(**own, intermediate_size=48, num_key_value_heads=2))
        case "neox":
            return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**own, intermediate_size=48))
        case "qwen2":
            tied = {"tie_word_embeddings": True, "num_key_value_heads": 2}
            return hf.Qwen2ForCausalLM(hf.Qwen2Config(**own, intermediate_size=48, **tied))
    raise ValueError(kind)


def tiny_language_model(kind: str = "opt", *, seed: int = 0, positions: int = 64) -> CausalLm:
    """A model whose answers differ from text to text (with transformers' own random weights they hardly do)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        lm = _lm(kind, positions).eval()
        with torch.no_grad():
            for parameter in lm.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
    theta_0 = {name: parameter.detach() for name, parameter in lm.named_parameters()}
    return CausalLm(
        head=CausalHead(lm),
        tokenizer=tiny_tokenizer(),
        theta_0=theta_0,
        theta_0_hash=state_hash(theta_0),
        device=CPU,
        max_length=positions,
        train_length=positions,
        pad_token=1,
        eos_token=2,
        prefix_token=0,
        config=lm.config.to_dict(),
        keeps_apart=True,
    )


def moved(model: CausalLm, seed: int = 1, share: float = 0.2) -> dict[str, torch.Tensor]:
    """Another theta: every matrix moved by noise."""
    noise = torch.Generator().manual_seed(seed)
    return {
        name: x + share * x.std() * torch.randn(x.shape, generator=noise)
        for name, x in model.theta_0.items()
        if x.ndim > 1
    }


def random_pairs(groups: Sequence[tuple[int, Sequence[int]]], *, seed: int = 0, vocabulary: int = 300) -> Pairs:
    """For each (tokens of the context, tokens of each continuation), continuations that may begin alike."""
    random = np.random.default_rng(seed)
    texts, contexts = [], []
    for context, continuations in groups:
        stem = random.integers(3, vocabulary, context)
        for length in continuations:
            ending = random.integers(3, vocabulary, length)
            ending[: length // 2] = 5
            texts.append(np.concatenate([stem, ending]).astype(np.int32))
            contexts.append(context)
    starts = np.cumsum([0, *(len(text) for text in texts)])
    return Pairs(tokens=np.concatenate(texts), starts=starts, continuations=np.array(contexts, dtype=np.int32))


MIXED = random_pairs([(7, [3, 3, 5, 2]), (1, [1, 1, 1]), (20, [1, 4]), (12, [6]), (9, [2, 2]), (3, [8, 1, 8])])
NO_GENERATIONS = Generations(prompts=[], until=[], max_new_tokens=[])
NO_PAIRS = Pairs(
    tokens=np.zeros(0, dtype=np.int32), starts=np.zeros(1, dtype=np.int64), continuations=np.zeros(0, dtype=np.int32)
)


def prompts_of(texts: Sequence[str], *, until: tuple[str, ...] = (), max_new_tokens: int = 8) -> Generations:
    """Tokenised prompts with the same rules."""
    encoded = [np.array(tiny_tokenizer().encode(text), dtype=np.int32) for text in texts]
    return Generations(prompts=encoded, until=[until] * len(texts), max_new_tokens=[max_new_tokens] * len(texts))


def greedy_pairs(pairs: Pairs, items_hash: str = "0" * 32) -> TaskRequests:
    """One item per pair: whether the model would answer it."""
    return TaskRequests(
        rule="greedy",
        pairs=pairs,
        generations=NO_GENERATIONS,
        num_items=len(pairs.continuations),
        items_hash=items_hash,
        judge=lambda found, texts: (found.greedy, None),
    )


def likely_pairs(pairs: Pairs, items_hash: str = "1" * 32) -> TaskRequests:
    """One item per pair: its log-likelihood, weighted by the tokens of its continuation."""

    def judge(found: PairResults, texts: Sequence[str]) -> Any:
        lengths = np.diff(pairs.starts) - pairs.continuations
        return (found.log_likelihoods / lengths).astype(np.float32), lengths.astype(np.float32)

    return TaskRequests(
        rule="likelihood",
        pairs=pairs,
        generations=NO_GENERATIONS,
        num_items=len(pairs.continuations),
        items_hash=items_hash,
        judge=judge,
    )
