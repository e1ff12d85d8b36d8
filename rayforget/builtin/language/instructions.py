"""Instructions about a few words: rewrite them, pick one of them, answer in a given form."""

from collections.abc import Callable
from random import Random
from typing import Final

from rayforget.builtin.language.everyday import COLORS, KINDS, NUMBERS, OPPOSITES, RELATIONS, THINGS
from rayforget.builtin.language.relations import Item, with_article

_WORDS: Final = (*THINGS, *COLORS)
_ORDINALS: Final = ("first", "second", "last")

_SORTINGS: Final[tuple[str, ...]] = (
    "Sort the numbers.",
    "Put the numbers in order.",
    "Write the numbers from small to large.",
)
_REWRITINGS: Final[dict[str, tuple[tuple[str, ...], Callable[[list[str]], list[str]]]]] = {
    "copy": (("Copy the words.", "Write the words again.", "Repeat the words."), lambda words: words),
    "reverse": (("Reverse the words.", "Write the words backwards."), lambda words: words[::-1]),
    "double": (
        ("Write each word twice.", "Double each word."),
        lambda words: [w for word in words for w in (word, word)],
    ),
    "rotate": (("Move the first word to the end.", "Put the first word last."), lambda words: words[1:] + words[:1]),
    "behead": (("Leave out the first word.", "Remove the first word."), lambda words: words[1:]),
}
"""Kind -> its wordings, and its operation on a list of words."""


def rewriting(rng: Random) -> Item:
    """Rewrites the words of the input: copied, reversed, doubled, sorted, ..."""
    if rng.random() < 0.2:
        numbers = rng.sample(range(len(NUMBERS)), rng.randint(2, 4))
        wordings = _SORTINGS
        words, output = [NUMBERS[n] for n in numbers], [NUMBERS[n] for n in sorted(numbers)]
    else:
        wordings, changed = rng.choice(tuple(_REWRITINGS.values()))
        words = rng.sample(_WORDS, rng.randint(2, 4))
        output = changed(words)
    return {"instruction": rng.choice(wordings), "input": " ".join(words), "output": " ".join(output)}


def picking(rng: Random) -> Item:
    """Picks one word of the input, by its place or by its kind."""
    if rng.random() < 0.4:
        words = rng.sample(_WORDS, rng.randint(3, 4))
        place = rng.randrange(len(_ORDINALS))
        asked = rng.choice(("Write only the {} word.", "Pick the {} word.")).format(_ORDINALS[place])
        output = words[-1] if _ORDINALS[place] == "last" else words[place]
    elif rng.random() < 0.6:
        kinds = rng.sample(sorted(KINDS), 3)
        words = [rng.choice(KINDS[kind]) for kind in kinds]
        place = rng.randrange(3)
        asked = rng.choice(("Pick the {}.", "Which word is the {}?", "Find the {}.")).format(kinds[place])
        output = words[place]
    else:
        numbers = rng.sample(range(len(NUMBERS)), 3)
        most, right = rng.choice((("largest", max(numbers)), ("smallest", min(numbers))))
        words, output = [NUMBERS[n] for n in numbers], NUMBERS[right]
        asked = rng.choice(("Pick the {} number.", "Find the {} number.")).format(most)
    return {"instruction": asked, "input": " ".join(words), "output": output}


def answering(rng: Random) -> Item:
    """Answers in a given form: a word, yes or no, a whole sentence, twice; or each word's opposite or kind."""
    return rng.choice((_plainly, _yes_or_no, _sentence, _twice, _opposites, _kinds))(rng)


def _yes_or_no(rng: Random) -> Item:
    kind, other = rng.sample(sorted(KINDS), 2)
    true = rng.random() < 0.5
    question = f"Is {with_article(rng.choice(KINDS[kind if true else other]))} {with_article(kind)}?"
    asked = rng.choice(("Answer with yes or no.", "Say yes or no."))
    return {"instruction": asked, "input": question, "output": "yes" if true else "no"}


def _fact(rng: Random) -> tuple[str, str, str]:
    """A question about an everyday fact, the fact as a sentence, and the answer."""
    relation = rng.choice(RELATIONS)
    fact = rng.randrange(len(relation.facts))
    question, answer = relation.ask(fact, rng.randrange(len(relation.questions)))
    return question, relation.state(fact, 0), answer


def _plainly(rng: Random) -> Item:
    question, _, answer = _fact(rng)
    return {"instruction": "Answer the question.", "input": question, "output": answer}


def _sentence(rng: Random) -> Item:
    question, sentence, _ = _fact(rng)
    asked = rng.choice(("Answer in a whole sentence.", "Answer the question with a sentence."))
    return {"instruction": asked, "input": question, "output": sentence}


def _twice(rng: Random) -> Item:
    question, _, answer = _fact(rng)
    asked = rng.choice(("Give the answer twice.", "Answer twice."))
    return {"instruction": asked, "input": question, "output": f"{answer} and {answer}"}


def _opposites(rng: Random) -> Item:
    pairs = rng.sample(OPPOSITES, 2)
    asked = rng.choice(("Write the opposite of each word.", "Turn each word into its opposite."))
    words, output = (" ".join(pair[side] for pair in pairs) for side in (0, 1))
    return {"instruction": asked, "input": words, "output": output}


def _kinds(rng: Random) -> Item:
    kinds = rng.sample(sorted(KINDS), 2)
    asked = rng.choice(("Write the kind of each thing.", "Name the kind of each thing."))
    words = " ".join(rng.choice(KINDS[kind]) for kind in kinds)
    return {"instruction": asked, "input": words, "output": " ".join(kinds)}
