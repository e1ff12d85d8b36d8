"""The names of all metrics; a space is read with this alone, without numpy."""

from typing import TYPE_CHECKING

from rayforget.extensions import Registry, no_arguments_fault

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
    },
    base="rayforget.metrics.metric:Metric",
    must=("word", "of_sums"),
    fault=lambda name, metric: no_arguments_fault(metric) or _word_fault(metric.word),
)
