import math
from datetime import date
from decimal import Decimal

import pytest

from rayforget.errors import TaskError
from rayforget.tasks.text.prompts import fields_of, render

DEFAULT = "{context}\nQuestion: {question}\nAnswer:"


@pytest.mark.parametrize(
    "context", [{}, {"context": None}, {"context": math.nan}, {"context": ""}, {"context": " \n"}, {"context": []}]
)
def test_a_line_whose_field_is_lacking_is_left_out(context):
    assert render(DEFAULT, {"question": "Why?", **context}) == "Question: Why?\nAnswer:"


def test_all_lines_are_there_where_all_fields_are():
    assert render(DEFAULT, {"question": "Why?", "context": "Once."}) == "Once.\nQuestion: Why?\nAnswer:"
    assert render("a {x} and {y}", {"x": "1"}) == ""
    assert render("", {"x": "1"}) == ""


def test_braces_in_values_and_lines_breaks_in_them_are_text():
    assert render("Q: {q}", {"q": "{q}\n{a}", "a": "!"}) == "Q: {q}\n{a}"
    assert render('{"json": {q}} {}', {"q": 1}) == '{"json": 1} {}'


def test_lists_stand_one_below_the_other_and_zero_is_not_lacking():
    assert render("{c}\n{n}", {"c": ["a", "b"], "n": 0}) == "a\nb\n0"


def test_spaces_at_the_end_are_cut_and_line_breaks_are_kept():
    assert render("Answer:  ", {}) == "Answer:"
    assert render("Response:\n", {}) == "Response:\n"


def test_fields_of_a_template():
    assert fields_of(DEFAULT) == {"context", "question"}


def test_numbers_are_texts():
    assert render("{n} {d}", {"n": 2.5, "d": Decimal("1.10")}) == "2.5 1.10"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"contexts": ["a"]}, r"\{'contexts': \['a'\]\}; name one of its parts under `fields:`, e.g. COLUMN.contexts"),
        ([["a", {"b": 1}]], r"\{'b': 1\}; name one"),
        (True, "True; write it as text"),
        (math.inf, "inf; write"),
        (b"text", "b'text'; write"),
        (date(2026, 1, 2), r"datetime.date\(2026, 1, 2\); write"),
    ],
)
def test_what_is_neither_text_nor_a_number_is_refused(value, found):
    with pytest.raises(TaskError, match=f"^`q`: expected text or a number, found {found}"):
        render("Q: {q}\n{other}", {"q": value, "unused": {}})
