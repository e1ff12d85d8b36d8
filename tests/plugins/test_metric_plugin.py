"""A metric of another package is checked and resampled as ours are, and missed in one line."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from plugins.outsiders import install, rayforget

from rayforget.metrics.registry import METRICS
from rayforget.metrics.scored_items import ScoredItems

SPACE = """
name: outsiders
foundation: {kind: clip, model: builtin}
tasks:
  sketch:
    kind: zero_shot
    role: speciality
    metric: macro_f1
    templates: ["a {}"]
    train: {kind: world, style: sketch, split: train, count: 40}
    val: {kind: world, style: sketch, split: val, count: 60}
    test: {kind: world, style: sketch, split: test, count: 60}
  photo:
    kind: zero_shot
    role: generality
    group: distribution
    metric: balanced_accuracy
    val: {kind: world, style: photo, split: val, count: 30}
    test: {kind: world, style: photo, split: test, count: 30}
recipe: {head: frozen, learning_rate: 1e-3, epochs: 1, batch_size: 16}
methods: {full: {}}
plain: {seeds: 1}
search: {trainings: 1, seed: 0}
curve: {coarse: [0, 1], refine: 0}
resources: {cpus_per_worker: 1}
tracking: {enabled: false}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


def test_its_score_and_its_resamples_are_f1_by_brute_force(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("macro_f1", folder / "site")
    monkeypatch.syspath_prepend(folder / "site")
    from rayforget_macro_f1 import MacroF1  # type: ignore[import-not-found]

    rng = np.random.default_rng(0)
    classes = rng.integers(4, size=41)
    found = np.where(rng.random((3, 41)) < 0.6, classes, rng.integers(4, size=(3, 41)))
    task = ScoredItems(metric=MacroF1(), results=found.astype(float), classes=classes)

    def brute(predicted: np.ndarray, right: np.ndarray) -> float:
        f1 = []
        for k in set(predicted) | set(right):
            hits = sum(p == t == k for p, t in zip(predicted, right, strict=True))
            f1.append(2 * hits / (sum(predicted == k) + sum(right == k)))
        return float(np.mean(f1))

    assert task.values() == pytest.approx([brute(each, classes) for each in found])
    draws = rng.integers(41, size=(20, 41))
    counts = np.stack([np.bincount(each, minlength=41) for each in draws]).astype(float)
    (resampled,) = task.resampled([counts])
    expected = [[brute(each[draw], classes[draw]) for each in found] for draw in draws]
    np.testing.assert_allclose(resampled, expected, rtol=1e-12)
    # Its variance is that of the resamples to first order, by the slopes that every metric inherits.
    many = np.stack([np.bincount(rng.integers(41, size=41), minlength=41) for _ in range(4000)]).astype(float)
    (spread,) = task.resampled([many])
    np.testing.assert_allclose(np.sqrt(task.variances()), spread.std(axis=0), rtol=0.15)


def test_its_source_is_known_since_it_changes_under_one_version_while_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("macro_f1", folder / "site")
    monkeypatch.syspath_prepend(folder / "site")
    source = (folder / "site" / "rayforget_macro_f1.py").read_bytes()
    assert METRICS.find("macro_f1").source == hashlib.sha256(source).hexdigest()[:12]
    assert METRICS.find("balanced_accuracy").source is None


def test_it_is_missed_in_one_line(folder: Path) -> None:
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "space.yaml:8: tasks.sketch" in line
    assert "there is no metric 'macro_f1' here (there are: accuracy, balanced_accuracy, " in line
