"""A table of facts and their wordings -> questions with choices, and sentences."""

from dataclasses import dataclass
from random import Random
from typing import Any

Item = dict[str, Any]
"""One item: `question`, `context`?, `choices`, `answer`; or `instruction`, `input`?, `output`; or `text`."""

NUM_CHOICES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Facts of one sort: pairs of a subject and its only object."""

    name: str
    facts: tuple[tuple[str, str], ...]
    """(subject, object); a subject occurs once."""
    questions: tuple[str, ...]
    """With {s}; the answer is the object."""
    reverse: tuple[str, ...] = ()
    """With {o}; the answer is any subject with that object."""
    statements: tuple[str, ...]
    """Sentences with {s} and {o}."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """All subjects, in the order of the facts."""
        return tuple(subject for subject, _ in self.facts)

    @property
    def objects(self) -> tuple[str, ...]:
        """All objects, each once, in the order of the facts."""
        return tuple(dict.fromkeys(obj for _, obj in self.facts))

    def ask(self, fact: int, question: int) -> tuple[str, str]:
        """Question number `question` (`questions`, then `reverse`) about a fact, and its answer."""
        subject, obj = self.facts[fact]
        if question < len(self.questions):
            return self.questions[question].format(s=subject), obj
        return self.reverse[question - len(self.questions)].format(o=obj), subject

    def wrong(self, fact: int, question: int) -> list[str]:
        """All false answers to that question that are of its sort."""
        subject, obj = self.facts[fact]
        if question < len(self.questions):
            return [other for other in self.objects if other not in (subject, obj)]
        return [other for other, its in self.facts if its != obj]

    def item(self, fact: int, question: int, rng: Random) -> Item:
        """A multiple choice item."""
        text, right = self.ask(fact, question)
        return multiple_choice(text, right, self.wrong(fact, question), rng)

    def state(self, fact: int, statement: int) -> str:
        """The fact as a sentence."""
        subject, obj = self.facts[fact]
        return self.statements[statement].format(s=subject, o=obj)


def multiple_choice(question: str, right: str, wrong: list[str], rng: Random, *, context: str | None = None) -> Item:
    """An item with NUM_CHOICES choices (or all there are), the right one at a random place.

    Args:
        question: the question.
        right: the right answer.
        wrong: wrong answers, from which some are drawn.
        rng: decides which ones, and the order.
        context: what the question is about, if it does not stand alone.
    """
    choices = rng.sample(wrong, min(NUM_CHOICES - 1, len(wrong)))
    answer = rng.randrange(len(choices) + 1)
    choices.insert(answer, right)
    item: Item = {"question": question, "choices": choices, "answer": answer}
    return item if context is None else {"context": context} | item


def with_article(noun: str) -> str:
    """`axe` -> `an axe`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())
