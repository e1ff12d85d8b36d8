import pytest

from rayforget.tasks.text.prompts import fields_of, render

DEFAULT = "{context}\nQuestion: {question}\nAnswer:"


@pytest.mark.parametrize("context", [{}, {"context": None}, {"context": ""}, {"context": " \n"}, {"context": []}])
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
