import math

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.text import InstructionTask, MultipleChoiceTask, PlainTextTask
from rayforget.tasks.text.documents import Document, contents_of, documents_hash, own_document
from rayforget.tasks.text.rows import Row

CHOICE = MultipleChoiceTask.model_construct(kind="multiple_choice", prompt="{context}\nQuestion: {question}\nAnswer:")
INSTRUCTION = InstructionTask.model_construct(kind="instruction", prompt="{instruction}\n{input}\nOutput:")
TEXT = PlainTextTask.model_construct(kind="text")
QUESTION = {"question": "Which?", "choices": ["red", "green", "B"], "answer": 1}


def document(task, **values) -> Document:
    return own_document(task, Row(values=values, name="a.jsonl:7"))


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        *[(0, 0), (2, 2), ("A", 0), ("b", 1), ("C", 2), ("green", 1), (" green ", 1), ("B", 2)],
        *[("0", 0), ("2", 2), (1.0, 1), ("1.0", 1), ("(b)", 1), ("C.", 2), ("a)", 0)],
    ],
)
def test_an_answer_is_an_index_a_choice_or_a_letter(answer, index):
    """`B` is one of the choices, which takes precedence over the letter."""
    made = document(CHOICE, **{**QUESTION, "answer": answer})
    assert made.values["answer"] == index
    assert made.answer == QUESTION["choices"][index]
    assert made.prompt == "Question: Which?\nAnswer:"


@pytest.mark.parametrize("answer", [-1, 1.5, 4, True, None, math.nan, "D", "-1", "blue", "(D)", ["red"]])
def test_any_other_answer_is_refused(answer):
    with pytest.raises(TaskError) as found:
        document(CHOICE, **{**QUESTION, "answer": answer})
    expected = "expected `answer`, an index from 0 to 2, a letter from A to C or one of the choices"
    assert str(found.value) == f"a.jsonl:7: {expected}, found {answer!r}"


@pytest.mark.parametrize(("answer", "index"), [(1, 0), ("3", 2), (2.0, 1), ("A", 0), ("B", 2), (0, None), (4, None)])
def test_an_index_counts_from_the_stated_base(answer, index):
    task = CHOICE.model_copy(update={"answer_base": 1})
    if index is None:
        with pytest.raises(TaskError, match=rf"an index from 1 to 3, .* found {answer}$"):
            document(task, **{**QUESTION, "answer": answer})
    else:
        assert document(task, **{**QUESTION, "answer": answer}).values["answer"] == index


def test_an_index_beyond_the_last_choice_asks_for_the_base():
    with pytest.raises(TaskError, match=r"found 3; if the first choice is 1, write `answer_base: 1`$"):
        document(CHOICE, **{**QUESTION, "answer": 3})
    with pytest.raises(TaskError, match=r"found 1000000"):
        document(CHOICE, **{**QUESTION, "answer": 10**400})


@pytest.mark.parametrize(("answer", "index"), [("1", 0), (3, 2), (2.0, 1), ("A", None), ("red", None)])
def test_labels_of_the_choices_come_first(answer, index):
    """ARC has questions with labels 1 to 4, whose answers are no indices."""
    row = {**QUESTION, "answer": answer, "choice_labels": ["1", "2", "3"]}
    if index is None:
        with pytest.raises(TaskError, match=r"expected `answer`, one of the labels 1, 2, 3, found"):
            document(CHOICE, **row)
    else:
        assert document(CHOICE, **row).values["answer"] == index
    with pytest.raises(TaskError, match="expected `choice_labels`, one of its own for each of 3 choices"):
        document(CHOICE, **{**row, "choice_labels": ["1", "2"]})


def test_a_key_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(TaskError) as found:
        document(CHOICE, query="Which?", choices=["a", "b"], answer=0)
    assert str(found.value) == (
        "a.jsonl:7: expected `question` with a text, found no such key among answer, choices, query; "
        "name the column under `fields: {question: COLUMN}`"
    )


@pytest.mark.parametrize("choices", [None, "ab", [], ["a"], {"text": ["a", "b"]}])
def test_choices_are_a_list_of_two_or_more(choices):
    with pytest.raises(TaskError, match=r"expected `choices`, a list of at least two texts, found"):
        document(CHOICE, **{**QUESTION, "choices": choices})


@pytest.mark.parametrize(("answer", "text"), [("B", "b"), ("E", "e"), ("D", None), ("b", None)])
def test_an_objects_keys_are_the_labels_of_its_choices(answer, text):
    choices = {"A": "a", "B": "b", "D": None, "E": "e"}
    if text is None:
        with pytest.raises(TaskError, match="expected `answer`, one of the labels A, B, E, found"):
            document(CHOICE, **{**QUESTION, "choices": choices, "answer": answer})
    else:
        assert document(CHOICE, **{**QUESTION, "choices": choices, "answer": answer}).answer == text


def test_choices_may_be_the_json_of_a_list_and_the_last_of_several_columns_missing():
    assert document(CHOICE, **{**QUESTION, "choices": '["a", "b"]', "answer": "B"}).answer == "b"
    cells = {**QUESTION, "choices": ["a", "b", None, None], "answer": "B"}
    row = Row(values=cells, name="a.csv:2", columns={"choices": ("w", "x", "y", "z")})
    assert own_document(CHOICE, row).values["choices"] == ["a", "b"]
    for broken in ({**cells, "choices": ["a", None, "c", "d"]}, {**cells, "answer": "C"}):
        with pytest.raises(TaskError, match=r"found none in column 'x'|`answer`, .* to B or .*, found 'C'"):
            own_document(CHOICE, Row(values=broken, name="a.csv:2", columns=row.columns))
    with pytest.raises(TaskError, match="found none at 1"):
        document(CHOICE, **{**QUESTION, "choices": ["a", None]})


def test_an_empty_choice_is_refused():
    with pytest.raises(TaskError, match=r"expected a text in each of `choices`, found none at 1"):
        document(CHOICE, **{**QUESTION, "choices": ["a", " "]})


def test_numbers_are_texts():
    assert document(CHOICE, question="1 + 1?", choices=[1, 2], answer="2").answer == "2"


def test_instructions_and_texts():
    made = document(INSTRUCTION, instruction="Say it.", input="", output="It.")
    assert (made.prompt, made.answer) == ("Say it.\nOutput:", "It.")
    whole = document(TEXT, text="Once upon a time.")
    assert (whole.prompt, whole.answer) == ("", "Once upon a time.")
    with pytest.raises(TaskError, match=r"expected `output` with a text, found ''"):
        document(INSTRUCTION, instruction="Say it.", output="")
    with pytest.raises(TaskError, match=r"expected `text` with a text, found None"):
        document(TEXT, text=None)


def test_a_value_that_is_missing_is_no_text_and_no_python_stands_in_a_prompt():
    said = {"instruction": "Say it.", "output": "It."}
    missing = document(INSTRUCTION, **said, input=math.nan)
    assert missing.prompt == document(INSTRUCTION, **said).prompt == "Say it.\nOutput:"
    assert missing.content == document(INSTRUCTION, **said).content
    with pytest.raises(TaskError, match=r"^a.jsonl:7: expected `output` with a text, found nan"):
        document(INSTRUCTION, **{**said, "output": math.nan})
    with pytest.raises(TaskError, match=r"^a.jsonl:7: expected a text in each of `choices`, found none at 1"):
        document(CHOICE, **{**QUESTION, "choices": ["a", math.nan]})
    with pytest.raises(TaskError, match=r"^a.jsonl:7: `context`: expected text or a number, found \{'contexts'"):
        document(CHOICE, **QUESTION, context={"contexts": ["a"]})
    for key in ("instruction", "output"):
        with pytest.raises(TaskError, match=rf"^a.jsonl:7: `{key}`: expected text or a number, found \{{'a': 1\}}"):
            document(INSTRUCTION, **{**said, key: {"a": 1}})
    unseen = MultipleChoiceTask.model_construct(kind="multiple_choice", prompt="{question}")
    assert document(unseen, **QUESTION, context={"contexts": ["a"]}).prompt == "Which?"


def test_content_is_the_question_without_its_label_and_whatever_else_the_row_has():
    one = document(CHOICE, **QUESTION)
    assert document(CHOICE, **{**QUESTION, "answer": 0, "subject": "x"}).content == one.content
    assert document(CHOICE, **{**QUESTION, "context": "y"}).content != one.content
    assert document(CHOICE, **{**QUESTION, "choices": ["red", "green", "C"]}).content != one.content
    said = {"instruction": "Say it.", "output": "It."}
    assert document(INSTRUCTION, **said, input=None).content == document(INSTRUCTION, **said).content
    assert document(INSTRUCTION, **{**said, "output": "That."}).content != document(INSTRUCTION, **said).content


def test_hashes_follow_order_values_and_what_is_added():
    one, other = document(CHOICE, **QUESTION), document(CHOICE, **{**QUESTION, "answer": 0})
    hashes = {
        documents_hash([one, other]),
        documents_hash([other, one]),
        documents_hash([one]),
        documents_hash([one, other], "x"),
        documents_hash([]),
    }
    assert len(hashes) == 5
    assert all(len(each) == 32 for each in hashes)
    assert contents_of([one, other]).shape == (2, 16)
    assert contents_of([]).shape == (0, 16)
