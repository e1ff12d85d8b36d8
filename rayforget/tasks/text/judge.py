"""A model's answers to a task's requests -> one result per document, by lm-eval's own rules."""

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.foreign import told_of
from rayforget.tasks.text.metrics import LIKELIHOOD, corpus_metric_of, split_metric
from rayforget.tasks.text.types import ItemResults, PairResults

_RIGHT_OR_WRONG = frozenset(
    {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"}
    | {"prompt_level_strict_acc", "prompt_level_loose_acc"}
)
"""Metrics whose results are kept as bits."""


class Judge:
    """(results of pairs, texts of generations) -> per-document results and their weights."""

    def __init__(
        self,
        task: Any,
        documents: Sequence[Document],
        metric: str,
        *,
        request_starts: NDArray[np.int64],
        pair_starts: NDArray[np.int64],
        delimiter: str = " ",
    ) -> None:
        """Prepares to judge one task's answers.

        Args:
            task: lm-eval's task object.
            documents: the documents that the requests are about.
            metric: the name of one of the task's metrics, or `likelihood`.
            request_starts: shape (num_documents + 1,): document i has the requests from [i] to [i + 1].
            pair_starts: shape (num_requests + 1,): request i has the pairs from [i] to [i + 1]; one if it generates.
            delimiter: the text before a right answer that is asked for with it and is none of its bytes.
        """
        self._task, self._documents = _remembering(task), documents
        self._filters = [each.name for each in task._filters]
        self._metric, self._filter = split_metric(metric, self._filters)
        self._takes_first = not getattr(task.config, "filter_list", None)
        """Whether the task has no filters of its own: lm-eval then takes the first answer."""
        self._request_starts, self._pair_starts = request_starts.tolist(), pair_starts.tolist()
        self._corpus = corpus_metric_of(task, metric)
        self._kind: str = task.OUTPUT_TYPE
        self._delimiter = delimiter

    def __call__(self, results: PairResults, texts: Sequence[str]) -> ItemResults:
        """Judges one model's answers.

        Raises:
            TaskError: the task gives a value outside [0, 1].
        """
        answers = list(texts) if self._kind == "generate_until" else self._answers(results)
        if self._metric == LIKELIHOOD:
            return self._bits_per_byte(answers)
        by_document = self._filtered([answers[a:b] for a, b in pairwise(self._request_starts)])
        values = [self._value(document, own) for document, own in zip(self._documents, by_document, strict=True)]
        if self._corpus is not None:
            return self._corpus.of_values(values), None
        if isinstance(values[0], list):  # one value per instruction: the document's mean, weighted by their number
            weights = np.array([len(each) for each in values], dtype=np.float32)
            return self._checked(np.array([np.mean(each) for each in values], dtype=np.float64)), weights
        return self._checked(np.array(values, dtype=np.float64)), None

    def _value(self, document: Document, answers: list[Any]) -> Any:
        """What the task's rules, which may be the user's own code, make of a document's answers.

        Raises:
            TaskError: they fail, or give no value of the metric; names the document.
        """
        with told_of(document.name, "judge an answer to it"):
            found = self._task.process_results(document.values, answers)
        value = found.get(self._metric)
        if value is None:
            without = f"nothing for {self._metric}" if self._metric in found else f"no {self._metric}"
            raise TaskError(
                f"{document.name}: process_results gives {without}, but a value for each item is needed; found "
                f"{', '.join(found) or 'nothing'}"
            )
        if self._corpus is None and not isinstance(value, list):
            with told_of(document.name, f"read {self._metric} as a number"):
                return float(value)
        return value

    def right_pairs(self) -> list[tuple[int, int]]:
        """Per document the range (first, end) of the pairs that ask for its right answer.

        Raises:
            TaskError: the task's answers are generated, or a document has more than one right answer.
        """
        if self._kind == "generate_until":
            raise TaskError(
                "its answers are generated and then judged: there is none that could be taught; take another"
            )
        return [(self._pair_starts[request], self._pair_starts[request + 1]) for request, _ in self._right]

    def num_tokens(self, lengths: NDArray[np.int64]) -> int:
        """Number of tokens of all right answers together.

        Args:
            lengths: shape (num_pairs,): tokens in each pair's continuation.
        """
        before = np.concatenate([[0], np.cumsum(lengths)])
        return int(sum(before[last] - before[first] for first, last in self.right_pairs()))

    def _answers(self, results: PairResults) -> list[Any]:
        """What lm-eval's model would have answered to each request; pairs of one request are added up in order."""
        sums, greedy = results.log_likelihoods.tolist(), results.greedy.tolist()
        spans = list(pairwise(self._pair_starts))
        likelihoods = [sums[a] if b == a + 1 else sum(sums[a:b]) for a, b in spans]
        if self._kind == "loglikelihood_rolling":
            return likelihoods
        return [(each, all(greedy[a:b])) for each, (a, b) in zip(likelihoods, spans, strict=True)]

    def _filtered(self, by_document: list[list[Any]]) -> list[list[Any]]:
        """The answers after the task's own filter (which may extract an answer from a text)."""
        if self._takes_first:
            return by_document
        from lm_eval.api.instance import Instance

        times = int(self._task.config.repeats or 1)  # a greedy answer is the same each time
        instances = [
            [
                Instance(request_type=self._kind, doc=document.values, arguments=(), idx=index, resps=[answer] * times)
                for index, answer in enumerate(own)
            ]
            for document, own in zip(self._documents, by_document, strict=True)
        ]
        chosen = self._task._filters[self._filter]
        with told_of(self._task.config.task, f"filter its answers by {chosen.name}"):
            chosen.apply([each for own in instances for each in own])
        return [[each.filtered_resps[chosen.name] for each in own] for own in instances]

    def _checked(self, values: NDArray[np.float64]) -> NDArray[np.bool_] | NDArray[np.float32]:
        if not ((values >= 0) & (values <= 1)).all():
            outside = values[~((values >= 0) & (values <= 1))][0]
            raise TaskError(f"metric {self._metric} gave {outside:g}, expected 0 to 1; choose another metric")
        if self._metric in _RIGHT_OR_WRONG and np.isin(values, (0, 1)).all():
            return values.astype(np.bool_)
        return values.astype(np.float32)

    def _bits_per_byte(self, answers: list[Any]) -> ItemResults:
        """Bits per byte of each document's right answer, weighted by its bytes; the score is 2^(-sum / sum)."""
        nats = np.array([_likelihood(answers[request]) for request, _ in self._right], dtype=np.float64)
        num_bytes = np.array([count for _, count in self._right], dtype=np.float64)
        return (-nats / log(2) / num_bytes).astype(np.float32), num_bytes.astype(np.float32)

    @cached_property
    def _right(self) -> list[tuple[int, int]]:
        """Per document the request with the right answer, and that answer's bytes."""
        first = self._request_starts[:-1]
        return [
            (start + offset, count)
            for start, (offset, count) in zip(first, map(self._right_of, self._documents), strict=True)
        ]

    def _right_of(self, document: Document) -> tuple[int, int]:
        """The index of the right answer among the document's requests, and its bytes.

        lm-eval measures a choice without the delimiter before it (acc_bytes), and a rolling text as its task does.
        """
        values = document.values
        if self._kind == "loglikelihood_rolling":
            metrics = self._task.process_results(values, [0.0])
            counted = metrics.get("bits_per_byte") or metrics.get("byte_perplexity")
            num_bytes = counted[1] if counted else len(self._task.doc_to_target(values).encode())
            return 0, _positive(num_bytes, document)
        target = self._task.doc_to_target(values)
        if self._kind == "loglikelihood":
            return 0, _positive(len(str(target).removeprefix(self._delimiter).encode()), document)
        choices = self._task.doc_to_choice(values)
        if self._task.multiple_input:  # choices are the contexts; all share one continuation
            right, answer = self._task.doc_to_text(values), str(target)
        else:
            right = choices.index(target) if isinstance(target, str) and target in choices else target
            answer = choices[right] if _is_index(right, len(choices)) else ""
        if not _is_index(right, len(choices)):
            raise TaskError(f"{document.name}: expected one right choice of {len(choices)}, found {target!r}")
        return int(right), _positive(len(answer.encode()), document)


def _likelihood(answer: Any) -> float:
    return float(answer[0] if isinstance(answer, tuple) else answer)


def _is_index(value: Any, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _positive(num_bytes: int, document: Document) -> int:
    if num_bytes < 1:
        raise TaskError(f"{document.name}: the right answer has no bytes; take this item out")
    return num_bytes


def _remembering(task: Any) -> Any:
    """A copy that fills in templates once per document, since judging runs for every alpha of every trial."""
    remembering = copy.copy(task)
    for name in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        if hasattr(task, name):
            setattr(remembering, name, _once(getattr(task, name)))
    return remembering


def _once(fill: Callable[[Any], Any]) -> Callable[[Any], Any]:
    known: dict[int, tuple[Any, Any]] = {}

    def filled(values: Any) -> Any:
        if id(values) not in known:
            known[id(values)] = (values, fill(values))  # keeps the document alive, so that its id stays its own
        return known[id(values)][1]

    return filled
