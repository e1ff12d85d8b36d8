"""A metric is asked, before anything is trained, for all that a report will ask of it."""

import itertools
from pathlib import Path

import pytest
from plugins.outsiders import install, write_package

from rayforget.errors import TaskError
from rayforget.evaluate.metric_trial import try_metric, try_metrics
from rayforget.metrics.registry import METRICS
from rayforget.space.tasks.any_task import Task
from rayforget.space.tasks.retrieval import RetrievalTask
from rayforget.values.scores import Score

_numbers = itertools.count()
METRIC = """
import numpy as np
from rayforget.metrics.metric import Metric

class TheMetric(Metric):
    word = "one"

    def of_sums(self, own, common):
        return own[0][..., 0] / common[0][..., 0]
"""
OF_SUMS = "        return own[0][..., 0] / common[0][..., 0]\n"


def tried(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    """What is said of a task with this metric."""
    from vector_equipment import vector_space

    name = f"metric{next(_numbers)}"
    monkeypatch.syspath_prepend(folder)
    write_package(folder, f"box_of_{name}", {name: "TheMetric"}, code, "rayforget.metrics")
    tasks: dict[str, Task] = dict(vector_space().tasks)
    tasks["s"] = tasks["s"].model_copy(update={"metric": name})
    try:
        try_metrics(tasks)
    except TaskError as error:
        text = str(error)
        assert text.startswith(f"tasks.s.metric: metric '{name}' of package box_of_{name}")
        assert "\n" not in text
        return text
    return ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("", ""), None),
        (("[..., 0] / common", " / common"), "of_sums gave shape (3, 1) for sums of shape (3, 1)"),
        ((OF_SUMS, "        return float(own[0][0, 0] / common[0][0, 0])\n"), "of_sums gave shape ()"),
        # One place where sums have two dimensions, and no other: scores are right, resamples are not.
        ((OF_SUMS, "        return (own[0] / common[0]).mean(axis=1)\n"), "of_sums gave shape (5, 1) for 5 resamples"),
        ((OF_SUMS, "        return own[0][..., 0]\n"), "a score must be in [0, 1]"),
        ((OF_SUMS, "        return 1 - own[0][..., 0] / common[0][..., 0]\n"), "a higher score must be better"),
        ((OF_SUMS, "        return {}[own]\n"), "failed in of_sums: TypeError: unhashable"),
        (("    def of_sums", "    def results(self, logits, labels):\n        return 3\n\n    def of_sums"), "int"),
        (
            (
                "    def of_sums",
                "    def results(self, logits, labels):\n        return logits[:, 0]\n\n    def of_sums",
            ),
            "results gave others than 0 and 1; write `right_or_wrong = False`",
        ),
        (
            (
                "    def of_sums",
                "    right_or_wrong = False\n    def results(self, logits, labels):\n"
                "        return logits[:, 0] > logits[:, 0].median()\n\n    def of_sums",
            ),
            "an image's result depends on its batch",
        ),
        # A share of the largest: no sum over items.
        (
            (
                "    def of_sums",
                "    def own(self, results, weights, classes):\n"
                "        return (results / (1 + results.sum(axis=-1, keepdims=True)),)\n\n    def of_sums",
            ),
            "a score must follow from sums over items",
        ),
        (
            (
                "    def of_sums",
                "    def slopes(self, own, common):\n        return [own[0]], [own[0]]\n\n    def of_sums",
            ),
            "slopes are not those of of_sums",
        ),
        (
            ("    def of_sums", "    def slopes(self, own, common):\n        return 1 / 0\n\n    def of_sums"),
            "failed in slopes: ZeroDivisionError",
        ),
        (
            ("    def of_sums", "    def own(self, r, w, c):\n        return None\n\n    def of_sums"),
            "own gave an object of type NoneType; return a tuple of arrays",
        ),
        (
            ("    def of_sums", "    def common(self, w, c):\n        return (w.sum(),)\n\n    def of_sums"),
            "common gave arrays of shapes [()]; expected (41,) for each",
        ),
        (("    def of_sums", "    by_class = True\n\n    def of_sums"), "write `needs_classes = True` too"),
    ],
)
def test_a_fault_is_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], fault: str | None
) -> None:
    said = tried(tmp_path, monkeypatch, METRIC.replace(*change))
    assert fault in said if fault is not None else said == ""


def test_our_own_metrics_and_the_examples_stand_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("macro_f1", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("accuracy", "balanced_accuracy", "top5", "macro_f1"):
        try_metric(METRICS.find(name).value(), name)


def test_a_recorded_score_whose_metric_breaks_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from rayforget.errors import BrokenExtensionError

    monkeypatch.syspath_prepend(tmp_path)
    code = METRIC.replace(
        "    def of_sums", "    def common(self, weights, classes):\n        1 / 0\n\n    def of_sums"
    )
    write_package(tmp_path, "box_of_late", {"late": "TheMetric"}, code, "rayforget.metrics")
    score = Score(rule="late", package="box_of_late", items=np.array([True]), items_hash="h", recorded=0.5)
    assert score.value == 0.5
    with pytest.raises(BrokenExtensionError, match="metric 'late' of package box_of_late failed in common: Zero"):
        score.scored.variances()


def test_a_metric_of_several_classes_is_asked_with_them() -> None:
    try_metric(METRICS.find("mean_average_precision").value(), "mAP")


def test_only_metrics_that_a_space_names_are_tried() -> None:
    """A retrieval task's score has a rule of its own."""
    source = {"kind": "dataset", "path": "captions", "label": "captions"}
    retrieval = {
        "kind": "retrieval",
        "role": "generality",
        "group": "task",
        "direction": "image_to_text",
        "val": {**source, "split": "val"},
        "test": {**source, "split": "test"},
    }
    try_metrics({"captions": RetrievalTask.model_validate(retrieval)})
