"""A task's metric by name -> whether its score follows from sums over items, and how."""

from typing import Any

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.space.tasks.text import MultipleChoiceTask, TextTask
from rayforget.tasks.text.corpus import CorpusMetric, corpus_metric

LIKELIHOOD = "likelihood"
"""2^(-bits per byte) of the right answer; rayforget's own metric for every task of likelihoods."""


def metric_of(task: TextTask) -> str:
    """The name of a task's metric."""
    return task.metric if isinstance(task, MultipleChoiceTask | LmEvalTask) else LIKELIHOOD


def split_metric(metric: str, filters: list[str]) -> tuple[str, int]:
    """A metric as lm-eval prints it (`exact_match,flexible-extract`) -> its name, and the index of its filter."""
    name, _, wanted = metric.rpartition(",")
    return (name, filters.index(wanted)) if name and wanted in filters else (metric, 0)


def corpus_metric_of(judged: Any, metric: str) -> CorpusMetric | None:
    """What makes the metric's score of a whole corpus; None if it is a mean over items."""
    name, _ = split_metric(metric, [each.name for each in judged._filters])
    return None if metric == LIKELIHOOD else corpus_metric(judged.aggregation().get(name))


def check_metric(judged: Any, metric: str, *, of_group: bool = False) -> None:
    """Refuses a metric that is neither a mean over items nor made of sums over them, or is better when lower.

    Raises:
        TaskError: the message gives the reason, and lists the task's metrics.
    """
    if metric == LIKELIHOOD:
        if judged.OUTPUT_TYPE == "generate_until":
            raise TaskError(f"found likelihood, and the task writes its answers; choose one of {_usable(judged)}")
        return
    name, _ = split_metric(metric, [each.name for each in judged._filters])
    if name not in judged.aggregation():
        raise TaskError(f"found {metric}; the task has {_usable(judged)}")
    if (reason := _misfit(judged, name)) is not None:
        raise TaskError(f"found {metric}, {reason}; use {_usable(judged)}")
    if of_group and corpus_metric_of(judged, metric) is not None:
        raise TaskError(
            f"found {metric}, which is made of a task's whole corpus, so that a group has none; declare its tasks one "
            "by one"
        )


def _misfit(judged: Any, name: str) -> str | None:
    """Why the metric cannot be used; None if it can."""
    from lm_eval.api.metrics import mean

    if not judged.higher_is_better().get(name, True):
        return "which is better when lower"
    aggregate = judged.aggregation()[name]
    called = getattr(aggregate, "__name__", str(aggregate))
    # ifeval's own mean, over all instructions of all items
    if aggregate is mean or called == "agg_inst_level_acc":
        return None
    corpus = corpus_metric(aggregate)
    if corpus is None:
        return f"which lm-eval makes of all items by {called}, of which no errors over items are known"
    if corpus.of_choices != (judged.OUTPUT_TYPE == "multiple_choice"):
        return f"which is taken of {'numbered choices' if corpus.of_choices else 'written answers'} alone"
    return None


def _usable(judged: Any) -> str:
    names = [name for name in judged.aggregation() if _misfit(judged, name) is None]
    names += [LIKELIHOOD] if judged.OUTPUT_TYPE != "generate_until" else []
    return ", ".join(names) or "none that can be used"
