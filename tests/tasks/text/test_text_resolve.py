import json
from pathlib import Path

import pytest
from lm_eval_data import write

from rayforget.errors import TaskError
from rayforget.report.words.remarks import skipped_remark
from rayforget.space.tasks.data import WorldSource, ZeroShotTask
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalTask
from rayforget.space.tasks.text import (
    CsvSource,
    InstructionTask,
    JsonLinesSource,
    LanguageSource,
    MultipleChoiceTask,
    PlainTextTask,
    TextCut,
)
from rayforget.tasks.text.remarks import text_remarks
from rayforget.tasks.text.resolve import check_overlaps, resolve_text_tasks


@pytest.fixture
def rows(tmp_path):
    """rows(name, numbers, ...) -> a file with one question per number."""

    def make(name, numbers, **others):
        path = tmp_path / f"{name}.jsonl"
        made = [{"question": f"Is {n} odd?", "choices": ["no", "yes"], "answer": n % 2, **others} for n in numbers]
        path.write_text("\n".join(map(json.dumps, made)))
        return JsonLinesSource(kind="jsonl", path=path)

    return make


def choice(**others):
    return MultipleChoiceTask(kind="multiple_choice", **{"role": "speciality", **others})


def resolved(task, name="odd"):
    return resolve_text_tasks({name: task})[name]


def test_splits_hold_the_rows_as_documents_in_order(rows):
    task = resolved(choice(train=rows("a", range(3)), val=rows("b", range(3, 5)), test=rows("c", [9])))
    assert {split: items.expected_count for split, items in task.splits.items()} == {"train": 3, "val": 2, "test": 1}
    assert [each.prompt for each in task.splits["val"].documents] == [f"Question: Is {n} odd?\nAnswer:" for n in (3, 4)]
    assert [each.answer for each in task.splits["train"].documents] == ["no", "yes", "no"]
    assert task.splits["val"].key == "tasks.odd.val"
    assert (task.role, task.group, task.lm_eval) == ("speciality", None, None)
    check_overlaps(task)


def test_a_task_that_is_only_learnt_has_only_train(rows):
    assert list(resolved(choice(train=rows("a", [1]))).splits) == ["train"]


def test_tasks_keep_the_spaces_order(rows):
    tasks = {name: choice(train=rows(name, [1])) for name in ("b", "a", "c")}
    assert list(resolve_text_tasks(tasks)) == ["b", "a", "c"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_cut_follows_the_content_not_the_order(rows, seed):
    def sides(name, numbers):
        cut = TextCut(source=rows(name, numbers), seed=seed, val_share=0.3)
        splits = resolved(choice(role="generality", group="g", cut=cut)).splits
        assert {items.key for items in splits.values()} == {"tasks.odd.cut"}
        return {split: [each.prompt for each in items.documents] for split, items in splits.items()}

    one, other = sides("a", range(40)), sides("b", [*range(39, -1, -1), 5, 5])
    assert {split: set(prompts) for split, prompts in one.items()} == {
        split: set(prompts) for split, prompts in other.items()
    }
    assert one["val"] == other["val"][::-1] or len(other["val"]) != len(one["val"])
    assert not set(one["val"]) & set(one["test"])
    assert 4 <= len(one["val"]) <= 20


def test_an_empty_half_is_an_error(rows):
    with pytest.raises(TaskError, match=r"^tasks.odd.cut: 1 items leave none for"):
        resolved(choice(role="generality", group="g", cut=TextCut(source=rows("a", [1]))))


@pytest.mark.parametrize(("one", "other"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_a_question_in_two_splits_is_refused_whatever_its_answer(rows, one, other):
    numbers = {"train": [1, 2], "val": [3, 4], "test": [5, 6]}
    numbers[other] = [*numbers[other], numbers[one][1]]
    sources = {split: rows(split, each) for split, each in numbers.items()}
    path = Path(sources[other].path)
    path.write_text(path.read_text().replace('"answer": 0', '"answer": 1'))
    with pytest.raises(TaskError) as found:
        check_overlaps(resolved(choice(**sources)))
    names = f"{sources[one].path}:2 ({one}) and {path}:3 ({other})"
    assert f"tasks.odd: the same text in two splits: {names}; 1 such text;" in str(found.value)


def test_copies_within_a_split_pass(rows):
    check_overlaps(resolved(choice(train=rows("a", [1, 1]), val=rows("b", [2, 2]), test=rows("c", [3]))))


def test_a_malformed_row_is_an_error_at_its_key(rows, tmp_path):
    broken = rows("a", [1, 2], answer="maybe")
    with pytest.raises(TaskError, match=rf"^tasks.odd.val: {tmp_path}/a.jsonl:1: expected `answer`, an index from 0"):
        resolved(choice(role="generality", group="g", val=broken, test=rows("b", [1])))


def test_rows_that_cannot_be_used_are_skipped_up_to_a_limit_and_named(rows, tmp_path):
    path = Path(rows("a", range(4)).path)
    path.write_text(path.read_text() + '\n{"question": "Is 9 odd?"}\n{oops\n')
    sources = {limit: JsonLinesSource(kind="jsonl", path=path, max_broken=limit) for limit in (0, 1, 2)}
    split = resolved(choice(train=sources[2])).splits["train"]
    broken = {"without two `choices`": [f"{path}:5"], "that cannot be read": [f"{path}:6"]}
    assert (split.expected_count, split.broken) == (4, broken)
    with pytest.raises(TaskError, match=rf"^tasks.odd.train: {path}:5: expected `choices`"):
        resolved(choice(train=sources[0]))
    how_many = "in all 2 of 6 rows cannot be used, and max_broken allows"
    kinds = rf"1 without two `choices` \({path}:5\), 1 that cannot be read \({path}:6\)$"
    for limit in (0, 1):
        with pytest.raises(TaskError, match=rf"^tasks.odd.train: {path}:5: exp.*; {how_many} {limit}: {kinds}"):
            resolved(choice(train=sources[limit]))


def test_skipped_rows_are_counted_by_what_they_lack_with_one_example_each(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "Question ,A,B,Right\nIs 1 odd?,yes,no,A\n2?,yes,no,\n3?,yes,no,\n4?,yes,no,E\n5?,,no,B\n,a,b,A\n6\n"
    )
    fields = {"question": "Question ", "choices": ("A", "B"), "answer": "Right"}
    source = CsvSource(kind="csv", path=path, fields=fields, max_broken=6)
    split = resolved(choice(train=source)).splits["train"]
    assert skipped_remark("tasks.odd.train", split.broken) == (
        f"tasks.odd.train: 6 rows skipped: 2 without `answer` ({path}:3, ...), 1 with an `answer` that is none of the "
        f"choices ({path}:5), 1 with an empty choice ({path}:6), 1 without `question` ({path}:7), 1 without 4 cells "
        f"({path}:8)"
    )
    path.write_text("Question ,A,B,Right\n1?,yes,no,A\n\n\n\n5?,,no,B\n")
    with pytest.raises(TaskError, match=r"a.csv:6: .*`choices` \(columns A, B\), found none in column 'A'; fill it"):
        resolved(choice(train=source.model_copy(update={"max_broken": 0})))
    with pytest.raises(TaskError, match=r"no column 'question', which .*; did you mean 'Question '"):
        resolved(choice(train=source.model_copy(update={"fields": {"question": "question"}})))
    with pytest.raises(TaskError, match=r"name the column under `fields: {question: Question }`"):
        resolved(choice(train=source.model_copy(update={"fields": {}, "max_broken": 0})))


def test_blanks_before_answers_equal_choices_and_missing_ones_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("question,a,b,c,answer\n1?, x,y,z,A\n2?,x,y,,B\n3?,x,y,x,A\n4?, x,y,z,B\n")
    source = CsvSource(kind="csv", path=path, fields={"choices": ("a", "b", "c")})
    found = list(text_remarks(resolved(choice(train=source))))
    assert [remark.split(" (")[0].split(",")[0] for remark in found] == [
        "tasks.odd.train: 2 of 4 begin an answer with a blank",
        "tasks.odd.train: 1 of 4 have the same choice twice",
        "tasks.odd.train: 1 of 4 have fewer choices than `fields` has columns for them",
    ]
    assert [remark.rpartition("(")[2] for remark in found] == [f"{path}:{line})" for line in (2, 4, 3)]
    assert len(list(text_remarks(resolved(choice(train=source, delimiter=""))))) == 2
    plain = PlainTextTask(kind="text", role="speciality", train=source.model_copy(update={"fields": {"text": "a"}}))
    assert not list(text_remarks(resolved(plain)))


@pytest.mark.parametrize(("base", "answers"), [(0, ["2", "3"]), (1, ["1", "12"])])
def test_digits_that_are_choices_and_indices_ask_which_they_are(tmp_path, base, answers):
    path = tmp_path / "a.csv"
    path.write_text("question,a,b,c,answer\n1 + 1?,1,2,3,1\n1 + 2?,1,12,3,2\n")
    source = CsvSource(kind="csv", path=path, fields={"choices": ("a", "b", "c")})
    with pytest.raises(TaskError, match=rf"answer_base: {path}:2: answer '1' is one .* \({path}:3: '2'\); write"):
        resolved(choice(train=source))
    documents = resolved(choice(train=source, answer_base=base)).splits["train"].documents
    assert [each.answer for each in documents] == answers
    path.write_text("question,a,b,c,answer\n1 + 1?,1,2,3,2\n1 + 2?,7,12,13,13\n")  # the choices themselves
    documents = resolved(choice(train=source)).splits["train"].documents
    assert [each.answer for each in documents] == ["2", "13"]


def test_indices_that_begin_with_1_ask_what_the_first_one_is(tmp_path):
    path = tmp_path / "a.jsonl"
    made = [{"question": f"What is {n}?", "choices": list("wxyz"), "answer": n % 3 + 1} for n in range(6)]
    path.write_text("\n".join(map(json.dumps, made)))
    source = JsonLinesSource(kind="jsonl", path=path)
    with pytest.raises(TaskError, match=r"^tasks.odd.answer_base: none of 6 answers is 0, found 1, 2, 3; write"):
        resolved(choice(train=source))
    for base, answers in ((0, "xyzxyz"), (1, "wxywxy")):
        documents = resolved(choice(train=source, answer_base=base)).splits["train"].documents
        assert "".join(document.answer for document in documents) == answers


def test_a_field_of_the_prompt_that_no_row_has_is_an_error(rows):
    prompt = "{contxt}\n{question}\nAnswer:"
    with pytest.raises(
        TaskError, match=r"^tasks.odd.prompt: names \{contxt\}, which no row has; found answer, choices"
    ):
        resolved(choice(train=rows("a", [1]), prompt=prompt))
    task = resolved(choice(train=rows("b", [1], subject="maths"), prompt="{subject}: {question}"))
    assert task.splits["train"].documents[0].prompt == "maths: Is 1 odd?"


def test_the_language_worlds_splits_share_nothing():
    source = {split: LanguageSource(kind="language", part="commonsense", split=split, count=20) for split in _SPLITS}
    check_overlaps(resolved(choice(**source)))


_SPLITS = ("train", "val", "test")


def test_lm_evals_tasks_are_cut_and_checked_as_ours_are(tmp_path):
    scored = {"kind": "lm_eval", "role": "generality", "group": "g", "task": "arc_easy", "metric": "acc"}
    path = write(tmp_path, "arc_easy", 30)
    task = resolved(LmEvalTask(**scored, data_files={"validation": path}, cut=LmEvalCut(split="validation")))
    counts = {split: items.expected_count for split, items in task.splits.items()}
    assert sum(counts.values()) == 30
    assert min(counts.values()) > 5
    check_overlaps(task)
    files = {"validation": path, "test": write(tmp_path, "arc_easy", 5, first=29, split="test")}
    task = resolved(LmEvalTask(**scored, data_files=files, val="validation", test="test"))
    with pytest.raises(TaskError, match=r"arc_easy\[validation\] #29 \(val\) and arc_easy\[test\] #0 \(test\); 1 such"):
        check_overlaps(task)


def test_images_are_refused():
    world = {split: WorldSource(kind="world", style="photo", split=split, count=1) for split in ("val", "test")}
    task = ZeroShotTask(kind="zero_shot", role="generality", group="g", **world)
    with pytest.raises(TaskError, match=r"^tasks.odd.kind: found zero_shot, expected a task on texts"):
        resolved(task)


@pytest.mark.parametrize("part", ["medicine", "medicine_instructions", "medicine_text"])
def test_each_shape_of_the_medicine_can_be_learnt(part):
    kinds = {"medicine": MultipleChoiceTask, "medicine_instructions": InstructionTask, "medicine_text": PlainTextTask}
    kind = {"medicine": "multiple_choice", "medicine_instructions": "instruction", "medicine_text": "text"}[part]
    source = LanguageSource(kind="language", part=part, split="train", count=5)
    assert resolved(kinds[part](kind=kind, role="speciality", train=source)).splits["train"].expected_count == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pubmedqa", "medmcqa", "arc_easy", "arc_challenge", "piqa", "openbookqa", "medical_instructions"]
)
def test_the_real_sets_are_read_whole_and_share_nothing(shared, name):
    folder = shared / "data" / "text" / name
    files = {split: folder / f"{split}.jsonl" for split in _SPLITS}
    counts = {split: path.read_text().count("\n") for split, path in files.items()}
    sources = {split: JsonLinesSource(kind="jsonl", path=path) for split, path in files.items() if counts[split] > 0}
    own = {"kind": "instruction"} if name == "medical_instructions" else {"kind": "multiple_choice"}
    made = InstructionTask if name == "medical_instructions" else MultipleChoiceTask
    task = resolved(made(**own, role="speciality", **sources))
    assert {split: items.expected_count for split, items in task.splits.items()} == {
        split: counts[split] for split in sources
    }
    check_overlaps(task)
