import json
import socket
import sys
from types import SimpleNamespace

import datasets
import pytest
from lm_eval_data import DOCUMENTS, split_of, write

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalTask
from rayforget.tasks.text.lm_eval_index import file_of_task, task_config
from rayforget.tasks.text.lm_eval_task import lm_eval_documents, load_lm_eval_task
from rayforget.tasks.text.own_yaml import own_identity
from rayforget.tasks.text.requests import _identity
from rayforget.tasks.text.resolve import resolve_text_tasks


@pytest.fixture(autouse=True)
def _no_network(tmp_path, monkeypatch):
    """Fails on any attempt to reach a network, of which the libraries are told nothing."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def declared(name, files, **others):
    splits = others or {"cut": LmEvalCut(split=split_of(name))}
    return LmEvalTask(kind="lm_eval", role="generality", group="g", task=name, metric="acc", data_files=files, **splits)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "ifeval"])  # test_ifeval.py
def test_a_task_reads_local_files_and_asks_nobody(tmp_path, monkeypatch, name):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    task = declared(name, {split_of(name): write(tmp_path, name, 5)})
    loaded = load_lm_eval_task("t", task)
    documents = lm_eval_documents(loaded, task, split_of(name))
    assert len(documents) == 5
    assert documents[3].name == f"{name}[{split_of(name)}] #3"
    assert isinstance(loaded.members[name].fewshot_context(documents[0].values, num_fewshot=0), str | list)


def test_parquet_serves_as_well_as_json_lines(tmp_path):
    path = write(tmp_path, "piqa", 5)
    datasets.Dataset.from_json(str(path)).to_parquet(tmp_path / "piqa.parquet")
    documents = [
        lm_eval_documents(load_lm_eval_task("t", task), task, "validation")
        for task in (declared("piqa", {"validation": each}) for each in (path, tmp_path / "piqa.parquet"))
    ]
    assert [each.content for each in documents[0]] == [each.content for each in documents[1]]


def test_the_split_that_is_asked_for_is_taken_and_not_test(tmp_path):
    files = {
        split: write(tmp_path, "arc_easy", 3, first=first, split=split)
        for split, first in (("train", 0), ("validation", 10), ("test", 20))
    }
    task = declared("arc_easy", files, val="validation", test="test")
    loaded = load_lm_eval_task("t", task)
    for split, first in (("validation", 10), ("test", 20)):
        questions = [each.values["question"] for each in lm_eval_documents(loaded, task, split)]
        assert questions == [f"What is {first + i}?" for i in range(3)]
    with pytest.raises(TaskError, match=r"lm-eval's task arc_easy has no split train; found validation, test"):
        lm_eval_documents(loaded, task, "train")


def test_train_alone_may_be_cut(tmp_path):
    task = declared("arc_easy", {"train": write(tmp_path, "arc_easy", 4)}, cut=LmEvalCut(split="train"))
    assert len(lm_eval_documents(load_lm_eval_task("t", task), task, "train")) == 4


def test_a_limit_takes_the_first_documents(tmp_path):
    task = declared("arc_easy", {"validation": write(tmp_path, "arc_easy", 5)})
    limited = task.model_copy(update={"limit": 2})
    loaded = load_lm_eval_task("t", limited)
    assert len(lm_eval_documents(loaded, limited, "validation")) == 2


def test_numbers_of_items_are_no_content(tmp_path):
    rows = write(tmp_path, "boolq", 1), write(tmp_path / "..", "boolq", 1)
    rows[1].write_text(rows[0].read_text().replace('"idx": 0', '"idx": 9'))
    contents = []
    for path in rows:
        task = declared("boolq", {"validation": path})
        contents.append(lm_eval_documents(load_lm_eval_task("t", task), task, "validation")[0].content)
    assert contents[0] == contents[1]


def test_what_is_missing_is_named_with_the_key_to_change(tmp_path):
    path = write(tmp_path, "arc_easy", 3)
    with pytest.raises(TaskError, match=r"^tasks.t.data_files: found train; .* needs `validation: FILE` too"):
        load_lm_eval_task("t", declared("arc_easy", {"train": path}))
    with pytest.raises(
        TaskError, match=r"^tasks.t.data_files: lm-eval's task hellaswag has no split test; found train"
    ):
        load_lm_eval_task("t", declared("hellaswag", {"validation": path}, val="validation", test="test"))
    with pytest.raises(
        TaskError, match=r"^tasks.t.task: lm-eval's task piqa cannot use these files .*goal.*baber/piqa"
    ):
        load_lm_eval_task("t", declared("piqa", {"validation": path}))
    with pytest.raises(TaskError, match=r"^tasks.t.data_files: .*none.jsonl: cannot be read"):
        load_lm_eval_task("t", declared("arc_easy", {"validation": tmp_path / "none.jsonl"}))


def test_a_data_set_that_is_not_here_names_the_command_that_downloads_it(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(TaskError) as found:
        load_lm_eval_task("t", declared("arc_easy", {}))
    message = str(found.value)
    assert message.startswith("tasks.t.task: lm-eval's task arc_easy: its data set cannot be loaded")
    assert "load_dataset('allenai/ai2_arc', 'ARC-Easy')" in message
    assert "`data_files:`" in message


@pytest.mark.slow  # reads all of lm-eval's files
def test_names_that_lm_eval_does_not_know_are_answered_with_those_that_it_knows():
    with pytest.raises(TaskError, match=r"lm-eval knows no task 'arc_esy'; did you mean arc_easy"):
        task_config("arc_esy")
    with pytest.raises(TaskError, match=r"lm-eval knows no task 'mmmlu'; did you mean .*mmlu"):
        task_config("mmmlu")


def test_tasks_that_run_a_models_code_are_refused():
    with pytest.raises(TaskError, match=r"humaneval runs the code that a model writes"):
        task_config("humaneval")


def test_ifeval_without_its_nltk_resource_names_the_command(monkeypatch):
    nltk = pytest.importorskip("nltk")

    def nothing(place):
        raise LookupError(place)

    monkeypatch.setattr(nltk.data, "find", nothing)
    with pytest.raises(TaskError, match=r"punkt_tab is not on this machine; run: python -m nltk.downloader punkt_tab"):
        task_config("ifeval")


def test_a_task_whose_package_is_missing_names_the_extra(monkeypatch):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "find", lambda place: place)
    monkeypatch.setitem(sys.modules, "langdetect", None)
    for name in [each for each in sys.modules if each.startswith("lm_eval.tasks.ifeval")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(TaskError, match=r"ifeval needs the package \w+; run: pip install \"lm-eval\[ifeval\]\""):
        task_config("ifeval")


def test_a_task_file_of_ones_own_runs_only_if_it_is_trusted(tmp_path):
    """Its template would write a file."""
    ran = tmp_path / "ran"
    code = f"{{{{ cycler.__init__.__globals__.os.mkdir('{ran}') }}}}"
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps({"include": str(file_of_task("arc_easy")), "task": "own", "doc_to_text": code}))
    files = {"validation": write(tmp_path, "arc_easy", 3)}
    task = declared(str(path), files, cut=LmEvalCut(split="validation"))
    with pytest.raises(TaskError, match=r"^tasks.t.task: the templates and functions of .*own.yaml run as code"):
        load_lm_eval_task("t", task)
    assert not ran.exists()
    load_lm_eval_task("t", task.model_copy(update={"trust_code": True}))
    assert ran.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "and there is no such file; expected a task file"),
        ("dataset_path: json\n", "has no `task:` with a name"),
        ("task: [a\n", "cannot be read .ParserError"),
        ("task: own\ndoc_to_text: !function nothing.here\n", "cannot be read .ImportError: .*nothing"),
        ("task: own\nunsafe_code: true\n", "runs the code that a model writes"),
        ("group: own\ntask: [arc_easy]\n", "gives no mean of acc over the group own, but of: none"),
        ("group: own\ntask: [no_such]\naggregate_metric_list: [{metric: acc}]\n", "names no_such, which is no task"),
    ],
)
def test_what_is_wrong_with_a_task_file_is_told(tmp_path, text, said):
    path = tmp_path / "own.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TaskError, match=rf"^tasks.t.task: .*{said}"):
        load_lm_eval_task("t", declared(str(path), {}, cut=LmEvalCut(split="validation"), trust_code=True))


def test_a_task_file_is_known_by_all_that_it_reads(tmp_path):
    (tmp_path / "base.yaml").write_text("task: base\n")
    (tmp_path / "own.yaml").write_text("include: base.yaml\ntask: own\n")
    known = {own_identity(tmp_path / "own.yaml")}
    for name, text in (("base.yaml", "task: other\n"), ("utils.py", "x = 1\n"), ("own.yaml", "include: base.yaml\n")):
        (tmp_path / name).write_text(text)
        known.add(own_identity(tmp_path / "own.yaml"))
    assert len(known) == 4


def test_examples_that_could_show_an_item_its_answer_are_refused(tmp_path):
    files = {split: write(tmp_path, "arc_easy", 3, split=split) for split in ("validation", "test")}
    own = {"include": str(file_of_task("arc_easy")), "task": "own", "training_split": None}
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(own))
    both = {"val": "validation", "test": "test", "num_fewshot": 2, "trust_code": True}
    with pytest.raises(TaskError, match=r"examples of lm-eval's task own come from validation, which is scored too"):
        load_lm_eval_task("t", declared(str(path), files, **both))
    path.write_text(json.dumps({**own, "num_fewshot": 0}))
    with pytest.raises(TaskError, match=r"^tasks.t.num_fewshot: found 2, and lm-eval's task own is defined without"):
        load_lm_eval_task("t", declared(str(path), files, **both))


def test_one_file_for_all_tasks_of_a_group_is_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("group: own\ntask: [arc_easy, arc_challenge]\naggregate_metric_list: [{metric: acc}]\n")
    files = {"validation": write(tmp_path, "arc_easy", 3)}
    with pytest.raises(TaskError, match=r"^tasks.t.data_files: found one file for 2 tasks of own; write {task} where"):
        load_lm_eval_task("t", declared(str(path), files, cut=LmEvalCut(split="validation"), trust_code=True))


def test_whole_texts_have_no_template(tmp_path):
    task = declared("wikitext", {"test": write(tmp_path, "wikitext", 3)}, cut=LmEvalCut(split="test"))
    task = task.model_copy(update={"metric": "likelihood", "chat_template": True})
    with pytest.raises(TaskError, match=r"^tasks.t.chat_template: found true, and the task scores whole texts"):
        resolve_text_tasks({"t": task})


def test_turns_of_examples_are_part_of_what_is_asked(tmp_path):
    """Prompts differ, so that neither cached tokens nor scores may be taken for the other's."""
    files = {"validation": write(tmp_path, "arc_easy", 3)}
    task = declared("arc_easy", files, cut=LmEvalCut(split="validation"), num_fewshot=1, chat_template=True)
    known = {
        tuple(_identity(SimpleNamespace(task=task.model_copy(update={"fewshot_as_multiturn": turns}))))
        for turns in (True, False)
    }
    assert len(known) == 2
