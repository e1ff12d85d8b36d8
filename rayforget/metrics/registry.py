"""The names of all metrics; a space is read with this alone, without numpy."""

from typing import TYPE_CHECKING

from rayforget.extensions import Registry

if TYPE_CHECKING:
    from rayforget.metrics.metric import Metric

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
)
