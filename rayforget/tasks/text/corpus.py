"""lm-eval's metrics that are made of a whole corpus -> what each document adds to the sums behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError

Pairs = Sequence[tuple[Any, Any]]
"""Per document the right and the given answer, as lm-eval hands them to its metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusMetric:
    """One of them."""

    rule: str
    """The name of our metric (`rayforget.metrics.registry`) that is lm-eval's, made of sums."""
    results: Callable[[Pairs], NDArray[np.float32]]
    """Shape (num_documents, `Metric.num_results`)."""
    of_choices: bool
    """Whether answers are the numbers of choices; else they are texts."""

    def of_values(self, values: Sequence[Any]) -> NDArray[np.float32]:
        """`results` of what lm-eval's task gives per document; raises TaskError if that is not a pair."""
        for value in values:
            if not isinstance(value, list | tuple) or len(value) != 2:
                raise TaskError(
                    f"expected a right and a given answer to make {self.rule} of, found {value!r}: the task judges "
                    "each item itself; take another metric"
                )
        return self.results(values)


def corpus_metric(aggregate: object) -> CorpusMetric | None:
    """What stands for one of lm-eval's functions that make a score of all documents; None if nothing does."""
    return next((known for function, known in _known() if function is aggregate), None)


@cache
def _known() -> Sequence[tuple[object, CorpusMetric]]:
    from lm_eval.api.metrics import bleu, chrf, chrfpp, f1_score, matthews_corrcoef

    def counts(make: str, **settings: int) -> Callable[[Pairs], NDArray[np.float32]]:
        def results(pairs: Pairs) -> NDArray[np.float32]:
            from sacrebleu import metrics

            return _statistics(getattr(metrics, make)(**settings), pairs)

        return results

    return (
        (bleu, CorpusMetric(rule="corpus_bleu", results=counts("BLEU"), of_choices=False)),
        (chrf, CorpusMetric(rule="corpus_chrf", results=counts("CHRF"), of_choices=False)),
        (chrfpp, CorpusMetric(rule="corpus_chrf_words", results=counts("CHRF", word_order=2), of_choices=False)),
        (f1_score, CorpusMetric(rule="corpus_f1", results=_numbers_of_two, of_choices=True)),
        (matthews_corrcoef, CorpusMetric(rule="matthews_correlation", results=_numbers, of_choices=True)),
    )


def _statistics(metric: Any, pairs: Pairs) -> NDArray[np.float32]:
    """sacrebleu's counts of each document, which it sums before it makes its score of them.

    BLEU's begin with the lengths, and end with them here; chrF's are (answer, reference, both) for each order.
    """
    from lm_eval.api.metrics import _sacreformat

    references, answers = _sacreformat(*(list(each) for each in zip(*pairs, strict=True)))
    found = np.array(metric._extract_corpus_statistics(answers, references), dtype=np.float32)
    return np.roll(found, -2, axis=1) if metric.__class__.__name__ == "BLEU" else found


def _numbers(pairs: Pairs) -> NDArray[np.float32]:
    for right, _ in pairs:
        if isinstance(right, bool) or not isinstance(right, int | np.integer) or right < 0:
            raise TaskError(f"expected one right choice for this metric, found {right!r}; take acc")
    return np.array(pairs, dtype=np.float32)


def _numbers_of_two(pairs: Pairs) -> NDArray[np.float32]:
    found = _numbers(pairs)
    if (found > 1).any():
        raise TaskError("found more than two choices, of which F1 is not defined; take acc")
    return found
