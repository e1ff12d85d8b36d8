"""Small problems that the question or its context answers: who has what, sums, order, comparison, places."""

from collections.abc import Callable
from random import Random
from typing import Final

from rayforget.builtin.language.everyday import DAYS, MONTHS, NAMES, NUMBERS, PLACES, THINGS
from rayforget.builtin.language.relations import Item, multiple_choice, with_article

_COMPARED: Final = (
    ("older", "the oldest", "the youngest"),
    ("taller", "the tallest", "the shortest"),
    ("faster", "the fastest", "the slowest"),
    ("richer", "the richest", "the poorest"),
)


def _others(right: str, among: tuple[str, ...]) -> list[str]:
    return [other for other in among if other != right]


def _owners(rng: Random) -> Item:
    """Who has what, of two or three people; the wrong answers include what the context also names."""
    num = rng.randint(2, 3)
    names, things = rng.sample(NAMES, num), rng.sample(THINGS, 4)
    context = " ".join(f"{name} has {with_article(thing)}." for name, thing in zip(names, things[:num], strict=True))
    asked = rng.randrange(num)
    if rng.random() < 0.5:
        absent = rng.sample([name for name in NAMES if name not in names], 4 - num)
        wrong = [*_others(names[asked], tuple(names)), *absent]
        question = rng.choice(("Who has the {}?", "Whose is the {}?")).format(things[asked])
        return multiple_choice(question, names[asked], wrong, rng, context=context)
    right, wrong = with_article(things[asked]), [with_article(thing) for thing in things if thing != things[asked]]
    question = rng.choice(("What does {} have?", "Which thing has {}?")).format(names[asked])
    return multiple_choice(question, right, wrong, rng, context=context)


def _sums(rng: Random) -> Item:
    """Adding to, or taking from, what somebody has."""
    name, thing = rng.choice(NAMES), rng.choice(("coins", "apples", "nuts", "eggs", "cards", "books"))
    first, second = rng.randint(2, 6), rng.randint(1, 6)
    if rng.random() < 0.6 or first <= second:
        verb, right = rng.choice(("gets", "finds", "buys")), first + second
    else:
        verb, right = rng.choice(("loses", "sells")), first - second
    context = f"{name} has {NUMBERS[first - 1]} {thing} and {verb} {NUMBERS[second - 1]}."
    near = [n for n in range(max(1, right - 3), min(len(NUMBERS), right + 3) + 1) if n != right]
    question = rng.choice((f"How many {thing} does {name} have now?", f"How many {thing} are there now?"))
    return multiple_choice(question, NUMBERS[right - 1], [NUMBERS[n - 1] for n in near], rng, context=context)


def _ranks(rng: Random) -> Item:
    """A is older than B and B than C: who is the oldest, the youngest?"""
    more, most, least = rng.choice(_COMPARED)
    names = rng.sample(NAMES, 4)
    facts = [f"{names[0]} is {more} than {names[1]}.", f"{names[1]} is {more} than {names[2]}."]
    rng.shuffle(facts)
    asked, right = rng.choice(((most, names[0]), (least, names[2])))
    return multiple_choice(f"Who is {asked}?", right, _others(right, tuple(names)), rng, context=" ".join(facts))


def _series(rng: Random) -> Item:
    """The next or the previous day, month or number."""
    what, series = rng.choice((("day", DAYS), ("month", MONTHS), ("number", NUMBERS)))
    place = rng.randrange(1, len(series))
    before, after = series[place - 1], series[place]
    if rng.random() < 0.5:
        question, right, named = rng.choice(("Which {} comes after {}?", "What {} follows {}?")), after, before
    else:
        question, right, named = rng.choice(("Which {} comes before {}?", "What {} leads to {}?")), before, after
    wrong = [other for other in series if other not in (before, after)]
    return multiple_choice(question.format(what, named), right, wrong, rng)


def _larger(rng: Random) -> Item:
    """The largest or the smallest of three numbers, which are the choices together with one more."""
    chosen = rng.sample(range(len(NUMBERS)), 4)
    given = chosen[:3]
    most, right = rng.choice((("largest", max(given)), ("smallest", min(given))))
    words = [NUMBERS[n] for n in given]
    question = f"Which number is the {most}, {words[0]}, {words[1]} or {words[2]}?"
    return multiple_choice(question, NUMBERS[right], [NUMBERS[n] for n in chosen if n != right], rng)


def _moves(rng: Random) -> Item:
    """Two people go to places, one of them twice."""
    first, second = rng.sample(NAMES, 2)
    places = rng.sample(PLACES, 4)
    context = f"{first} goes to the {places[0]}. {second} goes to the {places[1]}. {first} goes on to the {places[2]}."
    asked, right = rng.choice(((first, places[2]), (second, places[1])))
    question = rng.choice(("Where is {} now?", "In which place is {}?")).format(asked)
    return multiple_choice(question, right, [place for place in places if place != right], rng, context=context)


_KINDS: Final[tuple[Callable[[Random], Item], ...]] = (_owners, _sums, _ranks, _series, _larger, _moves)


def problem(rng: Random) -> Item:
    """A small problem as a multiple choice item."""
    return rng.choice(_KINDS)(rng)
