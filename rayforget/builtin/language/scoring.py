"""A causal language model -> its scores on the parts of the language world, by log-likelihoods and greedy answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rayforget.builtin.language.prompts import prompt, prompt_and_answer
from rayforget.builtin.language.relations import Item
from rayforget.builtin.language.tokenizer import PAD
from rayforget.builtin.language.world import Split, language_items

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "common sense": ("commonsense", "reasoning"),
    "instructions": ("rewriting", "picking", "answering"),
}
"""The parts of the generality, by group."""
SPECIALITY: Final = "medicine"
SCORED: Final = (SPECIALITY, "tales", *GROUPS["common sense"], *GROUPS["instructions"])
NUM_ITEMS = 240
"""Number of items scored per part."""

Scores = dict[str, float]
"""By part: the share of multiple choice items answered right, or of instructions followed to the letter; under `PART
likelihood` 2^(-bits per byte) of the instructions' answers; `speciality`, `generality`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A model's judgement of an answer."""

    log_likelihood: float
    """In nats, the sum over the answer's tokens, without the end."""
    is_greedy: bool
    """Whether greedy generation gives the answer and then the end."""


def load(folder: Path) -> tuple[Any, Any]:
    """The model in fp32, and its tokenizer."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def judge(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], *, tokens_per_batch: int = 4096
) -> list[Judgement]:
    """The model's judgement of each (prompt, answer with the space before it)."""
    encoded = [[tokenizer.encode(text, add_special_tokens=False) for text in pair] for pair in pairs]
    order = sorted(range(len(pairs)), key=lambda place: sum(map(len, encoded[place])))
    judgements: dict[int, Judgement] = {}
    while order:
        longest = sum(map(len, encoded[order[-1]])) + 1
        places, order = order[-(tokens_per_batch // longest) :], order[: -(tokens_per_batch // longest)]
        ids = torch.full((len(places), longest), PAD)
        for row, place in enumerate(places):
            its = [*encoded[place][0], *encoded[place][1], tokenizer.eos_token_id]
            ids[row, : len(its)] = torch.tensor(its)
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=(ids != PAD).long(), use_cache=False).logits
        likelihoods = logits.log_softmax(dim=-1)[:, :-1].gather(2, ids[:, 1:, None])[:, :, 0]
        hits = logits[:, :-1].argmax(dim=-1) == ids[:, 1:]
        for row, place in enumerate(places):
            first = len(encoded[place][0]) - 1
            end = first + len(encoded[place][1])
            judgements[place] = Judgement(
                log_likelihood=float(likelihoods[row, first:end].sum()),
                is_greedy=bool(hits[row, first : end + 1].all()),
            )
    return [judgements[place] for place in range(len(pairs))]


def accuracy(model: Any, tokenizer: Any, items: Sequence[Item]) -> float:
    """Share of multiple choice items whose right choice has the largest log-likelihood."""
    pairs = [(prompt(item), f" {choice}") for item in items for choice in item["choices"]]
    judgements = iter(judge(model, tokenizer, pairs))
    num_right = 0
    for item in items:
        values = [next(judgements).log_likelihood for _ in item["choices"]]
        num_right += values.index(max(values)) == item["answer"]
    return num_right / len(items)


def followed(model: Any, tokenizer: Any, items: Sequence[Item]) -> tuple[float, float]:
    """Share of instructions that greedy generation follows to the letter, and 2^(-bits per byte) of their outputs."""
    pairs = [prompt_and_answer(item) for item in items]
    judgements = judge(model, tokenizer, pairs)
    bits = -sum(judgement.log_likelihood for judgement in judgements) / log(2)
    num_bytes = sum(len(answer.encode()) for _, answer in pairs)
    return sum(judgement.is_greedy for judgement in judgements) / len(items), 2 ** (-bits / num_bytes)


def scores(model: Any, tokenizer: Any, split: Split, *, num_items: int = NUM_ITEMS) -> Scores:
    """All scores on a split."""
    result: Scores = {}
    for part in SCORED:
        items = language_items(part, split=split, count=num_items, seed=0)
        if part in GROUPS["instructions"]:
            result[part], result[f"{part} likelihood"] = followed(model, tokenizer, items)
        else:
            result[part] = accuracy(model, tokenizer, items)
    groups = [sum(result[part] for part in parts) / len(parts) for parts in GROUPS.values()]
    return result | {"speciality": result[SPECIALITY], "generality": sum(groups) / len(groups)}


def table(columns: Mapping[str, Scores]) -> str:
    """Scores in percent, one column for each model."""
    lines = [" " * 22 + "".join(f"{name:>12}" for name in columns)]
    for name in next(iter(columns.values())):
        lines.append(f"{name:<22}" + "".join(f"{100 * values[name]:12.1f}" for values in columns.values()))
    return "\n".join(lines)
