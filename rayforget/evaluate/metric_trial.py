"""Another package's metric -> tried on random answers before anything is trained: all that a report will ask of it.

A report asks for more than scores: for resamples of the items, in which classes may be missing, and for errors. A fault
in one of these would otherwise show when the trainings are done.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from rayforget.errors import BrokenExtensionError, ExtensionError, TaskError
from rayforget.extensions.use import naming_the_blamed
from rayforget.metrics.metric import Floats, Metric
from rayforget.metrics.registry import METRICS
from rayforget.metrics.scored_items import ScoredItems
from rayforget.space.tasks.any_task import Task
from rayforget.space.tasks.data import ZeroShotTask

Require = Callable[[object, str, str], None]
"""(whether it holds, what was found, what was expected) -> raises if it does not hold."""

_NUM_ITEMS, _FEW = 41, 7
_NUM_CLASSES = 10
_SECOND_CLASSES = 0.2
"""Share of the other classes that an image has too, where it may have several."""
_SHARPNESS = (0.0, 3.0, 30.0)
"""How far the right class is ahead of the noise: never, often, always."""
_ROUNDING = 1e-6
_SLOPES = 1e-3
"""Relative difference up to which a metric's own slopes are those of its score."""


def try_metrics(tasks: Mapping[str, Task]) -> None:
    """Tries every task's metric that another package brings; a space without one costs nothing.

    Raises:
        TaskError: a metric is not what it must be; names its task, and says in what it fails.
    """
    for name, task in tasks.items():
        if isinstance(task, ZeroShotTask) and task.metric not in METRICS.own:
            try:
                with naming_the_blamed():
                    try_metric(METRICS.find(task.metric).value(), METRICS.called(task.metric))
            except ExtensionError as error:
                raise TaskError(f"tasks.{name}.metric: {error}") from error


def try_metric(metric: Metric, called: str) -> None:
    """Asks a metric, `called` so in messages, for results, scores, resamples and errors, and compares what must agree.

    Raises:
        BrokenExtensionError: it is not what it must be; whatever else the metric raises passes.
    """

    def require(holds: object, found: str, expected: str) -> None:
        if not holds:
            raise BrokenExtensionError(f"{called}: {found}; {expected}")

    if metric.by_class:
        require(metric.needs_classes, "found by_class without needs_classes", "write `needs_classes = True` too")
    items = _answered(metric, require)
    _try_summands(items, require)
    own, common = items.sums()
    scores = metric.of_sums(own, common)
    require(
        np.shape(scores) == (len(_SHARPNESS),),
        f"of_sums gave shape {np.shape(scores)} for sums of shape {own[0].shape if own else ()}",
        "return one score for each model: all but the last dimension",
    )
    values, variances = items.values(), items.variances()
    require(all(0 <= value <= 1 for value in values), f"of_sums gave {values}", "a score must be in [0, 1]")
    require(
        values[-1] >= values[0],
        f"answers that are all right scored {values[-1]:.3g}, random ones {values[0]:.3g}",
        "a higher score must be better",
    )
    sound = np.isfinite(variances) & (variances >= 0)
    require(sound.all(), f"slopes give variances {variances.tolist()}", "expected finite ones, at least 0")
    _try_resamples(items, require)
    _try_slopes(items, require)


def _answered(metric: Metric, require: Require) -> ScoredItems:
    """Several models' results on the same items, by the metric's own `results`."""
    generator = torch.Generator().manual_seed(0)
    num_classes = max(_NUM_CLASSES, metric.min_classes)
    labels = torch.randint(num_classes, (_NUM_ITEMS,), generator=generator)
    has_class = torch.nn.functional.one_hot(labels, num_classes).bool()
    if metric.several_labels:
        labels = has_class = has_class | (torch.rand(_NUM_ITEMS, num_classes, generator=generator) < _SECOND_CLASSES)
    number = int(has_class.sum())
    found = []
    for sharpness in _SHARPNESS:
        logits = torch.randn(_NUM_ITEMS, num_classes, generator=generator) + sharpness * has_class
        with torch.inference_mode():
            results = metric.results(logits, labels)
            few = None if metric.several_labels else metric.results(logits[:_FEW], labels[:_FEW])
        given = tuple(results.shape) if isinstance(results, torch.Tensor) else type(results).__name__
        what = "pairs of an image and one of its classes" if metric.several_labels else "images"
        require(given == (number,), f"results gave {given} for {number} {what}", "return one number for each")
        results = results.to(torch.float32)
        require(results.isfinite().all(), "results gave a number that is not finite", "expected finite ones")
        if few is not None:
            alike = torch.equal(results[:_FEW], few.to(torch.float32))
            require(alike, "an image's result depends on its batch", "it must not")
        if metric.right_or_wrong:
            right_or_wrong = ((results == 0) | (results == 1)).all()
            require(right_or_wrong, "results gave others than 0 and 1", "write `right_or_wrong = False`")
        found.append(results.double().numpy())
    classes = has_class.nonzero()[:, 1].numpy() if metric.needs_classes else None
    return ScoredItems(metric=metric, results=np.stack(found), classes=classes)


def _try_summands(items: ScoredItems, require: Require) -> None:
    """`own` gives arrays of the results' shape, `common` arrays of one number for each item."""
    metric, number = items.metric, items.results.shape[1]
    weights = np.ones(number)
    classes = None if items.classes is None else items.classes.astype(np.int64)
    for name, found, shape in (
        ("own", metric.own(items.results, weights, classes), items.results.shape),
        ("common", metric.common(weights, classes), (number,)),
    ):
        listed = isinstance(found, tuple | list)
        require(listed, f"{name} gave an object of type {type(found).__name__}", "return a tuple of arrays")
        shapes = [np.shape(each) for each in found]
        require(set(shapes) <= {shape}, f"{name} gave arrays of shapes {shapes}", f"expected {shape} for each")


def _try_resamples(items: ScoredItems, require: Require) -> None:
    """A resample's score is that of the items drawn, each as often as it was."""
    rng, number = np.random.default_rng(0), items.results.shape[1]
    draws = rng.integers(number, size=(5, number))
    counts = np.stack([np.bincount(drawn, minlength=number) for drawn in draws]).astype(np.float64)
    resampled = np.concatenate([*items.resampled([counts])])
    require(
        resampled.shape == (5, len(items.results)),
        f"of_sums gave shape {resampled.shape} for 5 resamples of {len(items.results)} models",
        "sums may have any dimensions before their last, of groups",
    )
    for drawn, scores in zip(draws, resampled, strict=True):
        classes = None if items.classes is None else items.classes[drawn]
        again = ScoredItems(metric=items.metric, results=items.results[:, drawn], classes=classes).values()
        require(
            np.allclose(scores, again, rtol=_ROUNDING, atol=_ROUNDING),
            f"items drawn again score {again}, and their sums {scores.tolist()}",
            "a score must follow from sums over items: `own` and `common` may not depend on other items",
        )


def _try_slopes(items: ScoredItems, require: Require) -> None:
    """A metric's own slopes are the central differences of its score."""
    metric = items.metric
    if type(metric).slopes is Metric.slopes:
        return
    own, common = items.sums()
    for model in range(len(items.results)):
        sums = [each[model] for each in own], [each[0] for each in common]
        given, expected = _flat(metric.slopes(*sums)), _flat(Metric.slopes(metric, *sums))
        same = given.shape == expected.shape and np.allclose(
            given, expected, rtol=_SLOPES, atol=_SLOPES / items.results.shape[1]
        )
        require(same, "slopes are not those of of_sums", "compare them with central differences, or leave them out")


def _flat(slopes: tuple[list[Floats], list[Floats]]) -> Floats:
    return np.concatenate([np.ravel(each) for part in slopes for each in part])
