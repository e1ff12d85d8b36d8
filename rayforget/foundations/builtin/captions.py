"""What can be said of a picture -> captions: questions with all their answers, one of which is true of a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayforget.foundations.builtin.scene import COLORS, COUNTS
from rayforget.foundations.builtin.shapes import SHAPES
from rayforget.foundations.builtin.styles import COLORED_STYLES, STYLES

Facts = NDArray[np.int64]
"""Shape (num_pictures, 4): indices into STYLES, SHAPES, COLORS, and the count minus 1."""

_ONE_SHAPE = ("a {shape}", "a picture of a {shape}", "an image of a {shape}", "{shape}")
_STYLED = ("a {style} of a {shape}",)
_COLOR = ("a {color} shape", "a {color} thing", "something {color}", "{color}", "a picture of something {color}")
_COLORED = ("a {color} {shape}", "a picture of a {color} {shape}")
_COUNT = ("{count} shapes", "{count} things", "{count}", "a picture of {count} things", "a picture of {count} shapes")
_COUNTED = ("{count} {shapes}", "a picture of {count} {shapes}")
_COLORED_INDICES = [STYLES.index(style) for style in COLORED_STYLES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All answers to one question, and which of them is true of each picture."""

    captions: tuple[str, ...]
    """The answers."""
    asked: NDArray[np.bool_]
    """Shape (num_pictures,): of which pictures the question makes sense."""
    answers: NDArray[np.int64]
    """Shape (num_pictures,): index of the true caption; of no meaning where not asked."""


def plural(noun: str) -> str:
    """`star` -> `stars`."""
    if noun == "fish":
        return noun
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def questions(facts: Facts, rng: np.random.Generator) -> list[Question]:
    """One question each about shape, colour and count, worded at random."""
    return [_about_shape(facts, rng), _about_color(facts, rng), _about_count(facts, rng)]


def _about_shape(facts: Facts, rng: np.random.Generator) -> Question:
    style, shape, _, count = facts.T
    if rng.random() < 0.5:
        template = str(rng.choice(_ONE_SHAPE))
        captions = tuple(template.format(shape=s) for s in SHAPES)
        return Question(captions=captions, asked=count == 0, answers=shape)
    template = str(rng.choice(_STYLED))
    captions = tuple(template.format(style=st, shape=s) for st in STYLES for s in SHAPES)
    return Question(captions=captions, asked=count == 0, answers=style * len(SHAPES) + shape)


def _about_color(facts: Facts, rng: np.random.Generator) -> Question:
    style, shape, color, _ = facts.T
    seen = np.isin(style, _COLORED_INDICES)
    if rng.random() < 0.7:
        template = str(rng.choice(_COLOR))
        return Question(captions=tuple(template.format(color=c) for c in COLORS), asked=seen, answers=color)
    template = str(rng.choice(_COLORED))
    captions = tuple(template.format(color=c, shape=s) for c in COLORS for s in SHAPES)
    return Question(captions=captions, asked=seen, answers=color * len(SHAPES) + shape)


def _about_count(facts: Facts, rng: np.random.Generator) -> Question:
    _, shape, _, count = facts.T
    if rng.random() < 0.7:
        template = str(rng.choice(_COUNT))
        captions = tuple(template.format(count=n) for n in COUNTS)
        return Question(captions=captions, asked=np.ones(len(facts), dtype=np.bool_), answers=count)
    template = str(rng.choice(_COUNTED))
    captions = tuple(
        template.format(count=n, shapes=s if n == COUNTS[0] else plural(s)) for n in COUNTS for s in SHAPES
    )
    return Question(captions=captions, asked=np.ones(len(facts), dtype=np.bool_), answers=count * len(SHAPES) + shape)
