"""Task files of a user's own, which lm-eval's ten thousand are not like: judged as lm-eval does, or told by name."""

import json
import re
from pathlib import Path

import pytest
import yaml
from lm_eval.evaluator import evaluate
from lm_eval_peer import HashedLM
from test_judge import results_of
from tokenizers_here import tokenizer

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.tasks.text.lm_eval_greedy import require_greedy
from rayforget.tasks.text.lm_eval_made import task_over
from rayforget.tasks.text.lm_eval_task import lm_eval_documents, load_lm_eval_task
from rayforget.tasks.text.own_yaml import own_config, own_identity
from rayforget.tasks.text.remarks import text_remarks
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks

CHOOSES = {"output_type": "multiple_choice", "doc_to_text": "Q: {{q}}\nA:", "doc_to_choice": "c", "doc_to_target": "a"}
WRITES = {
    "output_type": "generate_until",
    "doc_to_text": "Q: {{q}}\nA:",
    "doc_to_target": "{{c[a]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8, "do_sample": False},
}
FIRST_WORD = {"function": "regex", "regex_pattern": "([a-z]+)", "fallback": "none"}
CODE = """
from lm_eval.api.task import ConfigurableTask

def first(doc, results):
    return {"acc": float(results[0] == doc["c"][0]), "seen": doc["n"]} if doc["n"] != 3 else {"seen": 1}

def fails(doc, results):
    return {"acc": doc["answer"]}

def percent(doc, results):
    return {"acc": 100.0}

def words(doc, results):
    return {"acc": "right"}

def key(doc):
    return doc["key"]

class Own(ConfigurableTask):
    def __init__(self):
        said = {"output_type": "multiple_choice", "doc_to_text": "q", "doc_to_choice": "c", "doc_to_target": "a"}
        super().__init__(config={**said, "metric_list": [{"metric": "acc"}], "test_split": "test"})

    def download(self, *_, **__):
        from datasets import Dataset

        self.dataset = {"test": Dataset.from_list([{"q": f"{i}?", "c": ["one", "two"], "a": i % 2} for i in range(9)])}

class Mixed(Own):
    def construct_requests(self, doc, ctx, **kwargs):
        made = super().construct_requests(doc, ctx, **kwargs)
        made[0].request_type = "generate_until"
        return made
"""


def mean_of(*metrics):
    return [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in metrics]


def filters(name, first):
    return [{"name": name, "filter": [first, {"function": "take_first"}]}]


def row(i):
    return {"q": f"What is {i}?", "c": ["a", "b dog", "zebra"], "a": i % 3, "n": i}


def write_task(folder, config):
    """A task's file, its functions, and its data."""
    (folder / "code.py").write_text(CODE)
    text = re.sub(r"FUNCTION (\S+)", r"!function \1", yaml.safe_dump({"task": "own", **config}))
    (folder / "own.yaml").write_text(text)
    (folder / "data.jsonl").write_text("\n".join(json.dumps(row(i)) for i in range(12)))
    return folder / "own.yaml"


def declared(folder, config, *, metric="acc", **others):
    is_class = "class" in config
    settings = {"cut": {"split": "test"}, "data_files": {} if is_class else {"test": folder / "data.jsonl"}} | others
    return LmEvalTask(
        kind="lm_eval", role="generality", group="g", metric=metric, trust_code=True,
        task=str(write_task(folder, config if is_class else {"test_split": "test", **config})), **settings,
    )  # fmt: skip


def by_us(folder, task):
    resolved = resolve_text_tasks({"t": task})["t"]
    found = task_requests(
        resolved, "val", tokenizer(bos=False), max_length=4096, prefix_token=0, cache=folder / "cache"
    )
    return resolved, found.judge(*results_of(resolved, "val", resolved.lm_eval))[0].tolist()


def by_lm_eval(task, resolved, metric):
    from datasets import Dataset

    config = {"test_split": "test", **own_config(Path(task.task), trusted=True)}
    documents = [dict(each.values) for each in resolved.splits["val"].documents]
    peer = task_over(config, {"test": Dataset.from_list(documents)})
    samples = evaluate(HashedLM(), {"own": peer}, bootstrap_iters=0)["samples"]["own"]
    return [sample[metric] for sample in sorted(samples, key=lambda sample: sample["doc_id"])]


@pytest.mark.parametrize(
    ("config", "metric"),
    [
        ({**WRITES, "filter_list": filters("none", FIRST_WORD)}, "exact_match"),
        ({**WRITES, "repeats": 3, "filter_list": filters("most", {"function": "majority_vote"})}, "exact_match"),
        ({**CHOOSES, "class": "FUNCTION code.Own"}, "acc"),
        ({**CHOOSES}, "acc_mutual_info"),
    ],
    ids=["a filter of the name that stands for none", "repeats", "a class without settings", "mutual information"],
)
def test_what_only_own_files_have_is_judged_as_by_lm_eval(tmp_path, config, metric):
    task = declared(tmp_path, {**config, "metric_list": mean_of(metric)}, metric=metric)
    resolved, items = by_us(tmp_path, task)
    assert [float(item) for item in items] == [float(item) for item in by_lm_eval(task, resolved, metric)]
    assert len(set(items)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"doc_to_text": "{{quesion}}"}, r"cannot use these files \(UndefinedError: 'quesion' is undefined\); correct"),
        ({"doc_to_text": "{{q"}, r"cannot use these files \(TemplateSyntaxError: .*\); correct the task's file"),
        ({"doc_to_target": "{{'no ' + c[a]}}"}, r"own\[test\] #\d+: the right answer is 'no .*every score would be 0"),
        ({"doc_to_text": "{{1 / (n - 3)}}"}, r"own\[test\] #3: cannot make its prompt and answers \(ZeroDivisionError"),
        ({"process_results": "FUNCTION code.fails"}, r"cannot judge an answer .*KeyError: 'answer' at code.py:8\)"),
        ({"process_results": "FUNCTION code.first"}, r"own\[test\] #3: process_results gives no acc, .*found seen"),
        ({"process_results": "FUNCTION code.percent"}, r"metric acc gave 100, expected 0 to 1"),
        ({"process_results": "FUNCTION code.words"}, r"cannot read acc as a number \(ValueError: .*'right'\)"),
        ({"output_type": "multichoice"}, r"cannot use these files \(ValueError: Got invalid output_type 'multichoice'"),
        ({"metricz": 1}, r"cannot use these files \(TypeError: .*'metricz'"),
        ({"num_fewshot": 12}, r"found 12 for lm-eval's task own, which has 11 to draw examples from"),
        ({"class": "FUNCTION code.Mixed"}, r"asks by generate_until, and its output_type is multiple_choice; only"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path, changes, said):
    with pytest.raises(TaskError, match=said):
        by_us(tmp_path, declared(tmp_path, {**CHOOSES, "metric_list": mean_of("acc"), **changes}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "none.jsonl"}}}, "files cannot be read"),
        ({"custom_dataset": "FUNCTION code.fails"}, r"custom_dataset failed \(TypeError: "),
        ({"class": "FUNCTION code.Own", "data_files": True}, "is a class, which loads its own data set: remove data_f"),
        ({"class": "FUNCTION code.Own", "revision": "main"}, "is a class, which loads its own data set: remove revis"),
    ],
)
def test_data_that_cannot_be_had_is_told_as_that(tmp_path, changes, said):
    settings = {"data_files": {}} | {key: changes.pop(key) for key in ("data_files", "revision") if key in changes}
    settings |= {"data_files": {"test": tmp_path / "data.jsonl"}} if settings["data_files"] else {}
    with pytest.raises(TaskError, match=rf"^tasks.t.\w+: lm-eval's task own.*{said}"):
        load_lm_eval_task("t", declared(tmp_path, {**CHOOSES, "test_split": "test", **changes}, **settings))


@pytest.mark.parametrize(
    "given",
    [{}, {"num_beams": 1, "max_tokens": 3}, {"do_sample": False, "temperature": 1.0, "top_p": 0.9}, {"temperature": 0}],
)
def test_answers_are_greedy_where_lm_eval_takes_them_so(given):
    require_greedy("own", {"output_type": "generate_until", "generation_kwargs": given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": 0.7}, "draws its answers at random"),
        ({"do_sample": True, "temperature": 0.0}, "draws its answers at random"),
        ({"num_beams": 4}, r"by other rules \(generation_kwargs: num_beams: 4\)"),
        ({"repetition_penalty": 1.2, "no_repeat_ngram_size": 3}, "repetition_penalty: 1.2, no_repeat_ngram_size: 3"),
        ({"max_length": 40}, r"max_length: 40\); only plain greedy answers .* max_gen_toks,"),
    ],
)
def test_rules_by_which_a_greedy_answer_would_be_another_are_refused(given, said):
    with pytest.raises(TaskError, match=said):
        require_greedy("own", {"output_type": "generate_until", "generation_kwargs": given})
    require_greedy("own", {"output_type": "multiple_choice", "generation_kwargs": given})  # read by nobody


def test_a_function_in_a_folder_below_is_part_of_what_a_task_is(tmp_path):
    path = write_task(tmp_path, {**CHOOSES, "process_docs": "FUNCTION parts.judge.first"})
    (tmp_path / "parts").mkdir()
    known = set()
    for text in ("def first(d):\n    return d\n", "def first(d):\n    return d.select([0])\n"):
        (tmp_path / "parts" / "judge.py").write_text(text)
        known.add(own_identity(path))
    assert len(known) == 2


def test_an_item_is_no_example_of_its_own_where_one_split_serves_for_both(tmp_path):
    config = {**CHOOSES, "metric_list": mean_of("acc"), "num_fewshot": 8, "fewshot_split": "val"}
    task = declared(
        tmp_path, {"validation_split": "val", "test_split": None, **config},
        cut={"split": "validation"}, data_files={"val": tmp_path / "data.jsonl"},
    )  # fmt: skip
    judged = load_lm_eval_task("t", task).members["own"]
    for doc in judged.validation_docs():
        assert judged.fewshot_context(doc, num_fewshot=8).count(doc["q"]) == 1


@pytest.mark.slow  # reads all of lm-eval's files
def test_a_tag_is_told_with_what_it_stands_for(tmp_path):
    task = declared(tmp_path, CHOOSES).model_copy(update={"task": "glue", "trust_code": False})
    with pytest.raises(TaskError, match=r"^tasks.t.task: lm-eval's glue is a tag, .*\(cola, mnli, .*\[glue\]"):
        load_lm_eval_task("t", task)


def test_right_answers_that_are_no_choices_are_counted(tmp_path):
    """lm-eval counts their documents as wrong; its log says so, once for each."""
    task = declared(tmp_path, {**CHOOSES, "doc_to_target": "n", "metric_list": mean_of("acc")})
    resolved = resolve_text_tasks({"t": task})["t"]
    numbers = [document.values["n"] for document in resolved.splits["test"].documents]
    (of_test,) = [remark for remark in text_remarks(resolved) if remark.startswith("tasks.t.test: ")]
    assert of_test.startswith(f"tasks.t.test: {sum(n > 2 for n in numbers)} of {len(numbers)} have no right answer")


@pytest.mark.parametrize("target", ["key", "{{c.index(key)}}", "FUNCTION code.key"])
def test_a_field_that_is_read_numbers_nothing(tmp_path, target):
    """Elsewhere `key` is an item's number; here it is the right answer, so that another one makes another item."""
    path = write_task(tmp_path, {**CHOOSES, "doc_to_target": target, "test_split": "test"})
    known = set()
    for right in ("a", "zebra"):
        (tmp_path / "data.jsonl").write_text(json.dumps({**row(1), "key": right, "id": len(known)}))
        task = LmEvalTask(
            kind="lm_eval", role="generality", group="g", metric="acc", trust_code=True, task=str(path),
            data_files={"test": tmp_path / "data.jsonl"}, cut={"split": "test"},
        )  # fmt: skip
        known |= {document.content for document in lm_eval_documents(load_lm_eval_task("t", task), task, "test")}
    assert len(known) == 2
