"""A task's metric by name -> whether lm-eval gives it item by item, as a share of what is right."""

from typing import Any

from rayforget.errors import TaskError
from rayforget.space.lm_eval import LmEvalTask
from rayforget.space.text import MultipleChoiceTask, TextTask

LIKELIHOOD = "likelihood"
"""2^(-bits per byte) of the right answer; rayforget's own metric for every task of likelihoods."""


def metric_of(task: TextTask) -> str:
    """The name of a task's metric."""
    return task.metric if isinstance(task, MultipleChoiceTask | LmEvalTask) else LIKELIHOOD


def split_metric(metric: str, filters: list[str]) -> tuple[str, int]:
    """A metric as lm-eval prints it (`exact_match,flexible-extract`) -> its name, and the index of its filter."""
    name, _, wanted = metric.rpartition(",")
    return (name, filters.index(wanted)) if name and wanted in filters else (metric, 0)


def check_metric(judged: Any, metric: str) -> None:
    """Refuses a metric that is not a mean over items, or is better when lower.

    Raises:
        TaskError: the message lists the task's metrics.
    """
    if metric == LIKELIHOOD:
        if judged.OUTPUT_TYPE == "generate_until":
            raise TaskError(f"found likelihood, and the task writes its answers; choose one of {_usable(judged)}")
        return
    name, _ = split_metric(metric, [each.name for each in judged._filters])
    if name not in judged.aggregation():
        raise TaskError(f"found {metric}; the task has {_usable(judged)}")
    if name not in _usable_names(judged):
        raise TaskError(f"found {metric}, which is no share of right items (higher is better); use {_usable(judged)}")


def _usable_names(judged: Any) -> list[str]:
    from lm_eval.api.metrics import mean

    better = judged.higher_is_better()
    return [
        name
        for name, aggregate in judged.aggregation().items()
        # ifeval's own mean, over all instructions of all items
        if (aggregate is mean or getattr(aggregate, "__name__", "") == "agg_inst_level_acc") and better.get(name, True)
    ]


def _usable(judged: Any) -> str:
    names = _usable_names(judged) + ([LIKELIHOOD] if judged.OUTPUT_TYPE != "generate_until" else [])
    return ", ".join(names) or "none that can be used"
