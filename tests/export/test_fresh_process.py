"""Folders in the hands of open_clip and transformers alone: another process, which never imports rayforget."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import KINDS, folder_of
from small_sweeps import Recorded, images_of, language_space, recorded

from rayforget.export.point_folder import export_point
from rayforget.frontier.points import THETA_0, PointKey
from rayforget.space.path_text import LERP
from rayforget.values.scores import Split

SPLITS: tuple[Split, Split] = ("val", "test")


def texts_of(found: Recorded, split: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "metric": task.metric, "file": str(getattr(task, split).path)}
        for name, task in found.space.tasks.items()
    ]


def jobs_of(found: Recorded, trial: str, folder: Path, kind: str, path: str = LERP) -> list[tuple[dict[str, Any], Any]]:
    """The folder with each split's data, and the scores that are recorded of the point; they are not theta_0's."""
    key = PointKey(trial, found.sweep.trials()[trial][-1], 0.0 if trial == THETA_0 else 0.5, path)
    done = export_point(found.sweep, found.space, found.summary, key, folder)
    jobs = []
    for split, scores in zip(SPLITS, (done.facts.point.val, done.facts.point.test), strict=True):
        assert scores is not None
        start = done.facts.theta_0[split]
        learnt = any((scores[name].items != start[name].items).any() for name in scores)
        assert learnt == (trial != THETA_0), "scores of theta_0 itself would prove nothing"
        tasks = images_of(found, split) if kind == "images" else texts_of(found, split)
        jobs.append(({"kind": kind, "folder": str(folder), "tasks": tasks}, scores))
    return jobs


@pytest.mark.slow
def test_every_folder_scores_item_for_item_as_recorded(pictures: Recorded, words: Recorded, tmp_path: Path) -> None:
    jobs = []
    for trial in ("0000-plain", "0001-head", "0002-text"):
        jobs += jobs_of(pictures, trial, tmp_path / trial, "images")
    jobs += jobs_of(pictures, "0002-text", tmp_path / "lines", "images", "lines(gamma=0.5)")
    jobs += jobs_of(pictures, THETA_0, tmp_path / "start", "images")
    for trial in ("0000-plain", "0001-lora"):
        jobs += jobs_of(words, trial, tmp_path / f"words-{trial}", "texts")
    for kind in KINDS:
        place = tmp_path / kind
        place.mkdir()
        tree = language_space(place, folder_of(kind, place / "own"), {"full": {}})
        jobs += jobs_of(recorded(place, tree, ["plain"]), "0000-plain", place / "out", "texts")
    listed = tmp_path / "jobs.json"
    listed.write_text(json.dumps([job for job, _ in jobs]))
    script = Path(__file__).with_name("by_library.py")
    done = subprocess.run([sys.executable, str(script), str(listed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert len(results) == len(jobs) == 24
    for found, (job, scores) in zip(results, jobs, strict=True):
        assert found.keys() == scores.keys()
        for name, score in scores.items():
            tolerance = 0 if score.items.dtype == bool else 2e-4
            np.testing.assert_allclose(
                np.array(found[name], dtype=np.float64), score.items, atol=tolerance, err_msg=f"{job['folder']} {name}"
            )
