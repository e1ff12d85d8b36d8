"""The jobs of a worker, and the driver's note of a training before it is handed out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayforget.record.envelope import open_sealed, seal
from rayforget.record.names import check_place
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


Job = TrialJob | tuple[TestJob, ...]
"""A training, or points to score on `test`."""


def save_asked(store: Store, job: TrialJob) -> None:
    """Notes a training that is about to be handed out."""
    body = {
        "trial": job.name,
        "recipe": job.recipe.model_dump(mode="json"),
        "fraction": job.fraction,
        "alpha": job.alpha,
        "asked": dict(job.asked),
        "frontier": [list(point) for point in job.frontier],
    }
    store.write_once(f"asked/{job.name}.json", seal("asked", body))


def asked_body(store: Store, trial: str) -> dict[str, Any]:
    """The note of a training; raises RecordError if it is damaged, or another training's."""
    path = f"asked/{trial}.json"
    body = open_sealed("asked", store.read(path), f"{store}/{path}")
    check_place(f"{store}/{path}", f"{body.get('trial', trial)}.json")  # older notes do not name their training
    return body


def load_asked(store: Store) -> dict[str, TrialJob]:
    """Every training that was ever handed out, by name, in order."""
    jobs = {}
    for file in store.json_files("asked"):
        name = file.removesuffix(".json")
        body = asked_body(store, name)
        jobs[name] = TrialJob(
            name=name,
            recipe=Recipe.model_validate(body["recipe"]),
            fraction=body["fraction"],
            alpha=body["alpha"],
            asked=body["asked"],
            frontier=tuple((s, g) for s, g in body["frontier"]),
        )
    return jobs
