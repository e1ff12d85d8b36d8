"""A score's rule, as recorded -> the metric."""

from functools import cache

from rayforget.metrics.metric import Metric
from rayforget.metrics.registry import METRICS


@cache
def metric_of(rule: str, package: str | None = None) -> Metric:
    """The metric by which a score was made.

    Args:
        rule: the score's rule.
        package: the distribution that brings the metric; None for ours and for lm-eval's, which are means over items.

    Raises:
        ExtensionError: the package that brings it is not installed.
    """
    if package is None:
        return METRICS.find_own(rule if rule in METRICS.own else "accuracy").value()
    return METRICS.find(rule, wanted=package).value()
