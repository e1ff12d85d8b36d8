"""What a sweep comes to where nothing can disturb it: in this process, one training after another, without Ray."""

import json
from pathlib import Path
from typing import Any

import torch
from ranks import run_ranks

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.search.study import CurveStudy
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial

NAME = "undisturbed"


def points_of(sweep: Sweep) -> dict[str, Any]:
    """The checkpoints of a sweep, by recipe and step: status, the weights' hash, and each coarse point's scores."""
    found: dict[str, Any] = {}
    for record in sweep.records():
        recipe = json.dumps(dict(record.recipe), sort_keys=True, default=str)
        scores = {
            (point.path, point.alpha): {task: score.value for task, score in point.scores.items()}
            for point in record.points
            if point.coarse
        }
        key = f"{recipe} {record.step}"
        assert key not in found, f"twice: {key}"
        found[key] = (record.status, record.theta_1_hash, scores)
    return found


def undisturbed(space_file: Path, folder: Path) -> dict[str, Any]:
    """The points of all trainings that a space's sweep asks for; its sampler must not depend on their results.

    Args:
        space_file: with `workers_per_slot` of 1, or of 2: then in two processes that gloo joins.
        folder: an empty one, for the record.
    """
    space = _kept_in(load_space(space_file).space, folder)
    info = SweepInfo(name=NAME, space_name=space.name, created=0.0, space_digest="")
    Sweep.create(Store.open(folder), info, space_text="", space=space.model_dump(mode="json"))
    (folder / "space_file").write_text(str(space_file))
    if space.resources.workers_per_slot == 1:
        train_all(folder)
    else:
        run_ranks(space.resources.workers_per_slot, folder, train_all)
    return points_of(Sweep.open(Store.open(folder), NAME))


def train_all(folder: Path) -> None:
    """Does all trainings of the sweep in a folder, as one rank, with one thread as a worker of one CPU."""
    torch.set_num_threads(1)
    space = _kept_in(load_space(Path((folder / "space_file").read_text())).space, folder)
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name=NAME))
    study = CurveStudy(methods_of(space), search=space.search, curve=space.curve, name=NAME)
    agenda = Agenda(space, equipment.sweep, study)
    while isinstance(named := agenda.next(), NamedJob) and isinstance(named.job, TrialJob):
        records = run_trial(named.job, equipment, lambda *_: None)
        agenda.done(named.name, [record.step for record in records])


def _kept_in(space: Space, folder: Path) -> Space:
    return space.model_copy(update={"storage": space.storage.model_copy(update={"path": str(folder)})})
