"""The pretraining's captions: every answer is true of its picture, every question is asked only if it makes sense."""

import itertools

import numpy as np
import pytest

from rayforget.builtin.pictures.captions import WORDINGS, plural, questions
from rayforget.builtin.pictures.world import COLORED_STYLES, COLORS, COUNTS, SHAPES, STYLES

NAMES = (STYLES, SHAPES, COLORS, COUNTS)
FACTS = np.array(list(itertools.product(*(range(len(names)) for names in NAMES))))


@pytest.mark.parametrize(
    ("singular", "several"),
    [("star", "stars"), ("cross", "crosses"), ("fish", "fish"), ("house", "houses"), ("key", "keys")],
)
def test_plurals(singular: str, several: str) -> None:
    assert plural(singular) == several


def test_every_true_caption_says_what_the_picture_shows() -> None:
    told = set()
    for seed in range(30):
        for question in questions(FACTS, np.random.default_rng(seed)):
            for row in np.flatnonzero(question.asked)[:: 97 + seed]:
                style, shape, color, count = (names[i] for names, i in zip(NAMES, FACTS[row], strict=True))
                words = question.captions[question.answers[row]].split()
                for names, fact in ((STYLES, style), (COLORS, color), (COUNTS, count)):
                    assert set(words) & set(names) <= {fact}
                assert set(words) & {s for name in SHAPES for s in (name, plural(name))} <= {shape, plural(shape)}
                told |= set(words)
    assert told >= set(STYLES) | set(SHAPES) | set(COLORS) | set(COUNTS) | set(map(plural, SHAPES))


def test_questions_are_asked_where_they_make_sense() -> None:
    shape, color, count = questions(FACTS, np.random.default_rng(0))
    np.testing.assert_array_equal(shape.asked, FACTS[:, 3] == 0)
    np.testing.assert_array_equal(color.asked, [STYLES[style] in COLORED_STYLES for style in FACTS[:, 0]])
    assert count.asked.all()


def test_no_two_answers_to_a_question_are_the_same() -> None:
    for wordings in WORDINGS.values():
        assert len({len(captions) for captions in wordings}) == 1
        for captions in wordings:
            assert len(set(captions)) == len(captions)
