"""A part of the language world, a split, a count and a seed -> items, the same on every machine."""

from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Final, Literal, get_args

from rayforget.builtin.language.everyday import RELATIONS
from rayforget.builtin.language.instructions import answering, picking, rewriting
from rayforget.builtin.language.medicine import medical_items, tale
from rayforget.builtin.language.prompts import prompt_and_answer
from rayforget.builtin.language.reasoning import problem
from rayforget.builtin.language.relations import Item
from rayforget.errors import TaskError
from rayforget.space.seeds import derive_seed

__all__ = ["GENERAL_PARTS", "MEDICAL_PARTS", "PARTS", "Item", "Split", "language_items", "split_of"]

Split = Literal["pretraining", "train", "val", "test"]

_SHARES: Final[dict[Split, float]] = {"pretraining": 0.64, "train": 0.12, "val": 0.12, "test": 0.12}
"""Share of the general prompts that each split owns."""
_MAX_DRAWS: Final = 2000
"""After this many draws without anything new a part counts as exhausted."""


def _commonsense(rng: Random) -> Item:
    relation = rng.choice(RELATIONS)
    fact = rng.randrange(len(relation.facts))
    return relation.item(fact, rng.randrange(len(relation.questions) + len(relation.reverse)), rng)


def _sentence(rng: Random) -> Item:
    relation = rng.choice(RELATIONS)
    return {"text": relation.state(rng.randrange(len(relation.facts)), rng.randrange(len(relation.statements)))}


_GENERAL: Final[dict[str, Callable[[Random], Item]]] = {
    "commonsense": _commonsense,
    "commonsense_text": _sentence,
    "reasoning": problem,
    "tales": tale,
    "rewriting": rewriting,
    "picking": picking,
    "answering": answering,
}
_MEDICAL: Final[dict[str, Literal["choice", "instruction", "text"]]] = {
    "medicine": "choice",
    "medicine_instructions": "instruction",
    "medicine_text": "text",
}
GENERAL_PARTS: Final = tuple(_GENERAL)
"""The parts that the shipped model is pretrained on: multiple choice (commonsense, reasoning, and tales, which need no
facts), sentences (commonsense_text), instructions (rewriting, picking, answering)."""
MEDICAL_PARTS: Final = tuple(_MEDICAL)
"""The same hidden facts in three shapes; the shipped model is not pretrained on them."""
PARTS: Final = (*GENERAL_PARTS, *MEDICAL_PARTS)


def language_items(part: str, *, split: Split, count: int, seed: int) -> list[Item]:
    """Items of one part, all different; a smaller count gives the first items of a larger one.

    Splits share no prompt, whatever their seeds: a general prompt belongs to the split given by its hash, and every
    split has its own wordings of each medical fact. So all facts are asked in all splits, in other words.

    Args:
        part: one of PARTS.
        split: `pretraining` is what the shipped model has seen of the general parts; the medicine has none.
        count: number of items.
        seed: another seed gives other items of the same kind.

    Raises:
        TaskError: there is no such part or split, or it has fewer items.
    """
    if part not in PARTS or split not in get_args(Split):
        raise TaskError(
            f"found part {part!r}, split {split!r} of the language world; "
            f"use one of {', '.join(PARTS)} and one of {', '.join(get_args(Split))}"
        )
    rng = Random(derive_seed(seed, "language world", part, split))
    if part in _MEDICAL:
        return medical_items(_MEDICAL[part], split, count, rng)
    items: dict[str, Item] = {}
    for _ in range(count):
        for _ in range(_MAX_DRAWS):
            item = _GENERAL[part](rng)
            if split_of(item) == split and str(item) not in items:
                items[str(item)] = item
                break
        else:
            raise TaskError(
                f"{part} has hardly more than {len(items)} items of {split}, found count {count}; ask for fewer"
            )
    return list(items.values())


def split_of(item: Item) -> Split:
    """The split that owns a general item, by a hash of its prompt (or of the whole text)."""
    prompt, answer = prompt_and_answer(item)
    hashed = blake2b((prompt or answer).encode(), digest_size=8).digest()
    place = int.from_bytes(hashed, "big") / 2**64
    for split, share in _SHARES.items():
        place -= share
        if place < 0:
            return split
    return "test"
