"""A sweep without a model: an agenda over a new record, or over one on disk, and substitutes for its workers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rayforget.record.jobs import TrialJob
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.search.study import CurveStudy
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score

METHODS: dict[str, Any] = {
    "l2": {"penalties": [{"kind": "l2", "strength": {"low": 1, "high": 100, "log": True}}]},
    "full": {},
    "kd": {"penalties": [{"kind": "kd", "strength": {"low": 0.1, "high": 10}}], "batch_size": {"choice": [8, 16]}},
}
"""Three methods, not in alphabetical order."""


def _task(splits: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    return {"kind": "zero_shot", **fields, **{split: {"kind": "folder", "path": f"/data/{split}"} for split in splits}}


def toy_space(
    folder: Path,
    *,
    methods: Mapping[str, Any],
    search: Mapping[str, Any],
    curve: Mapping[str, Any],
    resources: Mapping[str, Any],
) -> Space:
    """A space of two tasks and one plain baseline."""
    return Space.model_validate(
        {
            "name": "toy",
            "foundation": {"kind": "clip", "model": "builtin"},
            "tasks": {
                "s": _task(("train", "val", "test"), role="speciality", templates=["a {}"]),
                "g": _task(("val", "test"), role="generality", group="d"),
            },
            "recipe": {"learning_rate": {"low": 1e-5, "high": 1e-3}, "epochs": 1, "batch_size": 8},
            "methods": methods,
            "plain": {"set": {"learning_rate": 1e-4}, "seeds": 1},
            "search": search,
            "curve": {"refine": 0, **curve},
            "resources": resources,
            "storage": {"path": str(folder)},
            "tracking": {"enabled": False},
        }
    )


def started(space: Space, text: str = "") -> Agenda:
    """The agenda of a new sweep `s`, as `sweep SPACE.yaml` makes it; `text` is the space file's."""
    info = SweepInfo(name="s", space_name="toy", created=0.0, space_digest="")
    storage = Store.open(space.storage.path)
    return _agenda(space, Sweep.create(storage, info, space_text=text, space=space.model_dump(mode="json")))


def resumed(folder: Path) -> Agenda:
    """The agenda of the sweep `s` on disk, as `sweep --resume s` makes it."""
    sweep = Sweep.open(Store.open(folder), "s")
    return _agenda(space_here(sweep, str(folder)), sweep)


def _agenda(space: Space, sweep: Sweep) -> Agenda:
    return Agenda(space, sweep, CurveStudy(methods_of(space), search=space.search, curve=space.curve, name="s"))


def toy_agenda(folder: Path, **resources: Any) -> Agenda:
    """One plain baseline and two trainings; `resources` are the space's."""
    search = {"trainings": 2, "seed": 0, "startup": 2}
    return started(
        toy_space(folder, methods={"full": {}}, search=search, curve={"coarse": [0, 1]}, resources=resources)
    )


def do_job(agenda: Agenda, named: NamedJob) -> None:
    """Does what workers and driver do with a job; later trainings are better and forget more."""
    sweep = agenda.sweep
    if not isinstance(named.job, TrialJob):
        score_tests(agenda, named)
        agenda.done(named.name, [])
        return
    add_theta_0(sweep)
    far = 0.1 * (1 + int(named.name[:4]))
    curve = {0.0: (0.4, 0.6), 1.0: (0.4 + far, 0.6 - far)}
    record = _record(named.name, named.job.recipe.model_dump(mode="json"), curve)
    sweep.add(record)
    agenda.done(named.name, [record.step])


def score_tests(agenda: Agenda, named: NamedJob, num_items: int = 100) -> None:
    """Writes what workers write for scores on `test`."""
    assert not isinstance(named.job, TrialJob)
    for part in named.job:
        scores = {spot: {"s": _score(0.5, num_items), "g": _score(0.5, num_items)} for spot in part.spots}
        agenda.sweep.add_tests(
            TestRecord(trial=part.trial, step=part.step, theta_1_hash="1", scores=scores, finished=0.0)
        )


def train(agenda: Agenda, job: TrialJob, num_items: int = 100) -> list[CheckpointRecord]:
    """A training's records, not yet written; they depend only on the recipe; some fail."""
    space, recipe = agenda.space, job.recipe
    rate = math.log10(recipe.learning_rate / 1e-5) / 2
    pull = sum(math.log10(1 + getattr(one, "strength", 0.0)) for one in recipe.penalties)
    records: list[CheckpointRecord] = []
    for step, fraction in enumerate(space.curve.fractions, start=1):
        if rate > 0.97 and fraction == 1:
            failed = _record(job.name, recipe.model_dump(mode="json"), {}, step=0, fraction=0.0, reason="diverged")
            return [*records, failed]
        asked = {job.alpha} if fraction >= job.fraction else set()
        alphas = sorted({*space.curve.coarse, *asked})
        gain, loss = fraction * rate * math.exp(-pull / 4), fraction * rate**2 * math.exp(-pull)
        curve = {a: (0.4 + 0.5 * gain * a + 0.01 * recipe.seed, 0.6 - 0.5 * loss * a * a) for a in alphas}
        tree = recipe.model_dump(mode="json")
        records.append(_record(job.name, tree, curve, step=step, fraction=fraction, num_items=num_items))
    return records


def add_theta_0(sweep: Sweep, num_items: int = 100) -> None:
    """Writes theta_0's own record, if it is missing."""
    if not sweep.has("theta_0", 0):
        sweep.add(_record("theta_0", {}, {0.0: (0.4, 0.6)}, step=0, fraction=0.0, num_items=num_items))


def work_off(agenda: Agenda, num_items: int = 100, at_most: int | None = None) -> list[NamedJob]:
    """Does the next jobs, one after another, as a slot does; returns those that were done."""
    done: list[NamedJob] = []
    while (at_most is None or len(done) < at_most) and isinstance(named := agenda.next(), NamedJob):
        add_theta_0(agenda.sweep, num_items)
        steps = []
        if isinstance(named.job, TrialJob):
            for record in train(agenda, named.job, num_items):
                agenda.sweep.add(record)
                steps.append(record.step)
        else:
            score_tests(agenda, named, num_items)
        agenda.done(named.name, steps)
        done.append(named)
    return done


def _score(value: float, num_items: int = 100) -> Score:
    return Score(rule="accuracy", items=np.arange(num_items) < num_items * value, items_hash="h")


def _record(
    trial: str,
    recipe: dict[str, Any],
    curve: dict[float, tuple[float, float]],
    *,
    step: int = 1,
    fraction: float = 1.0,
    reason: str | None = None,
    num_items: int = 100,
) -> CheckpointRecord:
    return CheckpointRecord(
        trial=trial,
        step=step,
        fraction=fraction,
        status="ok" if reason is None else "failed",
        reason=reason,
        recipe=recipe,
        points=tuple(
            Point(alpha=alpha, coarse=True, scores={"s": _score(s, num_items), "g": _score(g, num_items)})
            for alpha, (s, g) in curve.items()
        ),
        theta_0_hash="0",
        theta_1_hash="1" if recipe and reason is None else None,
    )
