"""The jobs of a worker, and the driver's note of a training before it is handed out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayforget.record.envelope import open_sealed, seal
from rayforget.record.known import Known
from rayforget.record.names import check_place
from rayforget.record.segments import Segments
from rayforget.record.storage.store import Store
from rayforget.space.recipe import Recipe
from rayforget.values.points import Spot


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """A recipe to train and the alpha curve to score."""

    name: str
    recipe: Recipe
    fraction: float = 1.0
    """The searcher's fraction, whose checkpoint is scored at `alpha` too."""
    alpha: float = 1.0
    """An alpha on the lerp: the searcher knows no other path's parameters."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The searcher's parameters; empty for a baseline."""
    frontier: tuple[tuple[float, float], ...] = ()
    """(speciality, generality) of the sweep's frontier when the trial was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestJob:
    """Chosen points of one checkpoint, to be scored on `test`."""

    __test__ = False  # not a test class, despite its name

    trial: str
    step: int
    spots: tuple[Spot, ...]


FOLDER = "asked"
"""Of a sweep: the notes."""
Job = TrialJob | tuple[TestJob, ...]
"""A training, or points to score on `test`."""


class NotedJobs:
    """The driver's notes of trainings, each written before the training is handed out."""

    def __init__(self, store: Store) -> None:
        """Reads nothing yet; `store` is the sweep's folder."""
        segments = None if store.local is not None else Segments(store, FOLDER, encode=_body_of, decode=_job_of)
        self._store, self._known = store, Known(store, FOLDER, _read_job, segments=segments)

    def save(self, job: TrialJob) -> None:
        """Notes a training that is about to be handed out."""
        self._store.write_once(f"{FOLDER}/{job.name}.json", seal("asked", _body_of(job)))
        self._known.wrote(f"{job.name}.json", job)

    def load(self) -> dict[str, TrialJob]:
        """Every training that was ever handed out, by name, in order.

        Raises:
            RecordError: a note is damaged, or another training's.
        """
        return {job.name: job for job in self._known.everything()}

    def check(self, trial: str) -> None:
        """Raises as `load` if this note is damaged; its recipe may name what is not installed here."""
        path = f"{FOLDER}/{trial}.json"
        _open(self._store.read(path), f"{self._store}/{path}")


def _body_of(job: TrialJob) -> dict[str, Any]:
    return {
        "trial": job.name,
        "recipe": job.recipe.model_dump(mode="json"),
        "fraction": job.fraction,
        "alpha": job.alpha,
        "asked": dict(job.asked),
        "frontier": [list(point) for point in job.frontier],
    }


def _job_of(body: Mapping[str, Any]) -> TrialJob:
    return TrialJob(
        name=body["trial"],
        recipe=Recipe.model_validate(body["recipe"]),
        fraction=body["fraction"],
        alpha=body["alpha"],
        asked=body["asked"],
        frontier=tuple((s, g) for s, g in body["frontier"]),
    )


def _open(data: bytes, path: str) -> dict[str, Any]:
    trial = path.rpartition("/")[2].removesuffix(".json")
    body = {"trial": trial, **open_sealed("asked", data, path)}  # older notes do not name their training
    check_place(path, f"{body['trial']}.json")
    return body


def _read_job(data: bytes, path: str) -> TrialJob:
    return _job_of(_open(data, path))
