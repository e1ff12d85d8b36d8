"""The names of all metrics; a space is read with this alone, without numpy."""

from typing import TYPE_CHECKING

from rayforget.extensions.registry import Registry, no_arguments_fault

if TYPE_CHECKING:
    from rayforget.metrics.metric import Metric


def _word_fault(word: object) -> str | None:
    return None if isinstance(word, str) else f"has word {word!r}; write its name in tables, a text"


METRICS: "Registry[type[Metric]]" = Registry(
    group="rayforget.metrics",
    noun="metric",
    own={
        "accuracy": "rayforget.metrics.accuracy:Accuracy",
        "balanced_accuracy": "rayforget.metrics.balanced_accuracy:BalancedAccuracy",
        "top5": "rayforget.metrics.top5:Top5",
        "mean_average_precision": "rayforget.metrics.mean_average_precision:MeanAveragePrecision",
        "bits_per_byte": "rayforget.metrics.bits_per_byte:BitsPerByte",
        "corpus_bleu": "rayforget.metrics.corpus_bleu:CorpusBleu",
        "corpus_chrf": "rayforget.metrics.corpus_chrf:CorpusChrf",
        "corpus_chrf_words": "rayforget.metrics.corpus_chrf:CorpusChrfWords",
        "corpus_f1": "rayforget.metrics.confusion:CorpusF1",
        "matthews_correlation": "rayforget.metrics.confusion:MatthewsCorrelation",
    },
    base="rayforget.metrics.metric:Metric",
    must=("word", "of_sums"),
    fault=lambda name, metric: no_arguments_fault(metric) or _word_fault(metric.word),
)
