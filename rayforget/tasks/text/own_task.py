"""One of the user's own tasks -> lm-eval's task object, so that the same code asks and judges all tasks."""

from functools import partial
from typing import Any, assert_never

from rayforget.space.tasks.text import ChatTask, InstructionTask, MultipleChoiceTask, OwnTextTask, PlainTextTask
from rayforget.tasks.hub_split import quiet_library
from rayforget.tasks.text.delimiters import delimiter_of
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.lm_eval_made import task_over


def own_lm_eval_task(name: str, task: OwnTextTask, example: Document) -> Any:
    """The task as lm-eval would load it from a file; its documents are `Document.values`.

    Args:
        name: the task's name.
        task: the declared task.
        example: any document, written out by its chat template if it has one; lm-eval tries the prompt on it.
    """
    match task:
        case MultipleChoiceTask():
            how = _multiple_choice() | {"target_delimiter": delimiter_of(task)}
        case InstructionTask() | ChatTask():
            target = partial(_delimited_output, delimiter_of(task))
            how = {"output_type": "loglikelihood", "doc_to_target": target, "metric_list": [_mean("acc")]}
        case PlainTextTask():
            bits = {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}
            how = {"output_type": "loglikelihood_rolling", "doc_to_target": _text, "metric_list": [bits]}
        case _:
            assert_never(task)
    config = {"task": name, "dataset_path": "json", "test_split": "test", "doc_to_text": "prompt", **how}
    return task_over(config, {"test": quiet_library().Dataset.from_list([dict(example.values)])})


def _multiple_choice() -> dict[str, Any]:
    """The configuration of multiple choice; lm-eval puts the delimiter before each choice."""
    metrics = [_mean("acc"), _mean("acc_norm")]
    columns = {"doc_to_choice": "choices", "doc_to_target": "answer"}
    return {"output_type": "multiple_choice", **columns, "metric_list": metrics}


def _mean(metric: str) -> dict[str, Any]:
    return {"metric": metric, "aggregation": "mean", "higher_is_better": True}


def _delimited_output(delimiter: str, values: dict[str, Any]) -> str:
    return f"{delimiter}{values['choices'][0]}"


def _text(values: dict[str, Any]) -> str:
    text: str = values["choices"][0]
    return text
