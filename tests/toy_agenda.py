"""A sweep of three trainings without a model: an agenda over a fresh record, and what stands in for its workers."""

from pathlib import Path
from typing import Any

import numpy as np

from rayforget.record.jobs import TrialJob
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.record.types import CheckpointRecord, Point, Score, TestRecord
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.search.study import CurveStudy
from rayforget.space.methods import methods_of
from rayforget.space.models import Space


def _task(splits: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    return {"kind": "zero_shot", **fields, **{split: {"kind": "folder", "path": f"/data/{split}"} for split in splits}}


def toy_agenda(folder: Path, **resources: Any) -> Agenda:
    """One plain baseline and two trainings; `resources` are the space's."""
    space = Space.model_validate(
        {
            "name": "toy",
            "foundation": {"kind": "clip", "model": "builtin"},
            "tasks": {
                "s": _task(("train", "val", "test"), role="speciality", templates=["a {}"]),
                "g": _task(("val", "test"), role="generality", group="d"),
            },
            "recipe": {"learning_rate": {"low": 1e-5, "high": 1e-3}, "epochs": 1, "batch_size": 8},
            "methods": {"full": {}},
            "plain": {"set": {"learning_rate": 1e-4}, "seeds": 1},
            "search": {"trainings": 2, "seed": 0, "startup": 2},
            "curve": {"coarse": [0, 1], "refine": 0},
            "resources": resources,
            "storage": {"path": str(folder)},
            "tracking": {"enabled": False},
        }
    )
    info = SweepInfo(name="s", space_name="toy", created=0.0, space_digest="")
    sweep = Sweep.create(Store.open(folder), info, space_text="", space=space.model_dump(mode="json"))
    return Agenda(space, sweep, CurveStudy(methods_of(space), search=space.search, curve=space.curve, name="s"))


def do_job(agenda: Agenda, named: NamedJob) -> None:
    """What workers and driver do with a job; the later the training, the better and the more forgetful."""
    sweep = agenda.sweep
    if not isinstance(named.job, TrialJob):
        for part in named.job:
            scores = {alpha: {"s": _score(0.5), "g": _score(0.5)} for alpha in part.alphas}
            sweep.add_tests(TestRecord(trial=part.trial, step=part.step, theta_1_hash="1", scores=scores, finished=0.0))
        agenda.done(named.name, [])
        return
    if not sweep.has("theta_0", 0):
        sweep.add(_record("theta_0", {}, {0.0: (0.4, 0.6)}))
    far = 0.1 * (1 + int(named.name[:4]))
    curve = {0.0: (0.4, 0.6), 1.0: (0.4 + far, 0.6 - far)}
    record = _record(named.name, named.job.recipe.model_dump(mode="json"), curve)
    sweep.add(record)
    agenda.done(named.name, [record.step])


def _score(value: float) -> Score:
    return Score(rule="accuracy", items=np.arange(100) < 100 * value, items_hash="h")


def _record(trial: str, recipe: dict[str, Any], curve: dict[float, tuple[float, float]]) -> CheckpointRecord:
    return CheckpointRecord(
        trial=trial,
        step=int(bool(recipe)),
        fraction=float(bool(recipe)),
        status="ok",
        recipe=recipe,
        points=tuple(
            Point(alpha=alpha, coarse=True, scores={"s": _score(s), "g": _score(g)}) for alpha, (s, g) in curve.items()
        ),
        theta_0_hash="0",
        theta_1_hash="1" if recipe else None,
    )
