"""Facts of pictures -> captions: questions with all their answers, one of which is true of a picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rayforget.builtin.pictures.scene import COLORS, COUNTS
from rayforget.builtin.pictures.shapes import SHAPES
from rayforget.builtin.pictures.styles import COLORED_STYLES, STYLES

Facts = NDArray[np.int64]
"""Shape (num_pictures, 4): indices into STYLES, SHAPES, COLORS, and the number of objects minus 1."""
Captions = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All answers to one question, and which of them is true of each picture."""

    captions: Captions
    """The answers."""
    asked: NDArray[np.bool_]
    """Shape (num_pictures,): whether the question makes sense for the picture."""
    answers: NDArray[np.int64]
    """Shape (num_pictures,): index of the true caption; meaningless if not asked."""


def plural(noun: str) -> str:
    """`star` -> `stars`."""
    if noun == "fish":
        return noun
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def _numbered(count: str, shape: str) -> str:
    return f"{count} {shape if count == COUNTS[0] else plural(shape)}"


_STYLED = [f"{style} of a {shape}" for style in STYLES for shape in SHAPES]
_COLORED = [f"{color} {shape}" for color in COLORS for shape in SHAPES]
_NUMBERED = [_numbered(count, shape) for count in COUNTS for shape in SHAPES]


def _worded(templates: tuple[str, ...], names: tuple[str, ...] | list[str]) -> list[Captions]:
    """The captions of all names, for each template."""
    return [tuple(template.format(name) for name in names) for template in templates]


WORDINGS: Final[dict[str, list[Captions]]] = {
    "shape": _worded(("a {}", "a picture of a {}", "an image of a {}", "{}"), SHAPES),
    "style and shape": _worded(("a {}",), _STYLED),
    "color": _worded(("a {} shape", "a {} thing", "something {}", "{}", "a picture of something {}"), COLORS),
    "color and shape": _worded(("a {}", "a picture of a {}"), _COLORED),
    "count": _worded(("{} shapes", "{} things", "{}", "a picture of {} things", "a picture of {} shapes"), COUNTS),
    "count and shape": _worded(("{}", "a picture of {}"), _NUMBERED),
}
"""Kind of question -> its wordings, which all list the answers in the same order."""


def questions(facts: Facts, rng: np.random.Generator) -> list[Question]:
    """One question each about shape, colour and count: alone or joined with another fact, worded at random."""
    style, shape, color, count = facts.T
    single, colored = count == 0, np.isin(style, [STYLES.index(name) for name in COLORED_STYLES])
    everywhere = np.ones_like(single)
    return [
        _asked("shape", shape, single, rng)
        if rng.random() < 0.5
        else _asked("style and shape", style * len(SHAPES) + shape, single, rng),
        _asked("color", color, colored, rng)
        if rng.random() < 0.7
        else _asked("color and shape", color * len(SHAPES) + shape, colored, rng),
        _asked("count", count, everywhere, rng)
        if rng.random() < 0.7
        else _asked("count and shape", count * len(SHAPES) + shape, everywhere, rng),
    ]


def _asked(kind: str, answers: NDArray[np.int64], where: NDArray[np.bool_], rng: np.random.Generator) -> Question:
    wordings = WORDINGS[kind]
    return Question(captions=wordings[rng.integers(len(wordings))], asked=where, answers=answers)
