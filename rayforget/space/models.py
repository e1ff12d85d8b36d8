"""The space file as a checked, frozen object: what to train, on what, how often, where, and what to keep."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from rayforget.space.data import Task
from rayforget.space.frozen import Frozen


class ClipFoundation(Frozen):
    """An open_clip model."""

    kind: Literal["clip"]
    model: str
    """open_clip's model name (`ViT-B-16`), `hf-hub:OWNER/NAME`, `local-dir:FOLDER`, or `builtin` for the tiny one."""
    pretrained: str | None = None
    """open_clip's pretrained tag, for a model name."""


Foundation = ClipFoundation


class Search(Frozen):
    """How many trainings there are and who chooses them."""

    trainings: PositiveInt
    """Trainings of the sweep, the baselines' not counted."""
    seeds: PositiveInt = 1
    """Trainings per recipe, each with another seed."""
    seed: NonNegativeInt
    """The sweep's seed: the sampler's and every training's derive from it."""
    sampler: Literal["tpe", "random", "nsga2"] = "tpe"
    startup: PositiveInt = 10
    """Trainings drawn at random before the sampler takes over."""
    balance: Literal["method", "none"] = "method"
    """method: every method gets the same number of trainings; none: the sampler chooses the method too."""
    feed: Literal["none", "nondominated", "all"] = "nondominated"
    """Which points of a finished curve the sampler is told besides the asked one."""


class Curve(Frozen):
    """Which alphas and which checkpoints of every training are scored."""

    coarse: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    """The alphas common to every training; must hold 0 and 1. Values outside [0, 1] extrapolate."""
    refine: NonNegativeInt = 4
    """How many further alphas a curve may get where its objectives bend or the frontier is undecided."""
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    """Shares of the training at which a checkpoint gets a curve of its own; must hold 1."""


class Resources(Frozen):
    """What a sweep may use of the machine or the cluster."""

    slots: PositiveInt = 1
    """Worker groups that train side by side."""
    workers_per_slot: PositiveInt = 1
    """Data-parallel workers of one training."""
    cpus_per_worker: PositiveFloat = 2
    gpus_per_worker: NonNegativeFloat = 0
    trial_timeout_s: PositiveFloat = 3600
    """A training that reports no progress for so long is ended and recorded as failed."""
    max_attempts: PositiveInt = 3
    """How often a training is taken up again after its workers died before it is recorded as failed."""
    checkpoint_every_s: PositiveFloat = 60
    """How often a training saves what it needs to go on after its workers died."""
    cache: Path | None = None
    """Folder on each node for decoded evaluation sets; null takes `cache` in the storage path."""
    evaluation_batch: PositiveInt = 256
    """Items per forward pass of an evaluation."""
    resident_gib: PositiveFloat = 2.0
    """Memory for interpolated models that one pass over a batch serves together."""


class Keep(Frozen):
    """Which weights stay on disk."""

    margin: Annotated[float, Field(ge=0)] | None = None
    """Distance from the frontier, in score units, within which weights are kept; null takes one standard error."""
    max_gib: PositiveFloat = 20.0
    """Weights kept in all; the farthest from the frontier go first."""


class Storage(Frozen):
    """Where sweeps are kept."""

    path: str = "runs"
    """Local folder or URI (s3://, gs://) that holds one folder per sweep."""
    keep: Keep = Keep()


class Tracking(Frozen):
    """The MLflow mirror."""

    enabled: bool = True
    uri: str | None = None
    """null takes MLFLOW_TRACKING_URI, else SQLite in the storage path."""


class Plain(Frozen):
    """Plain fine-tuning, the baseline: no penalty, no adapter; what is not set here is taken from `recipe`."""

    set: dict[str, Any] = {}
    """Constants of the recipe, for those that `recipe` leaves open."""
    seeds: PositiveInt = 3
    """Trainings whose mean is the baseline."""


class Space(Frozen):
    """One space file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Names the MLflow experiment, and with a timestamp the sweeps."""
    vars: dict[str, str] = {}
    """Path variables, written ${name} elsewhere; ${NAME:-default} reads the environment."""
    foundation: Foundation
    """The pretrained model, theta_0."""
    tasks: dict[str, Task]
    """What is scored, by name."""
    recipe: dict[str, Any] = {}
    """What all methods share: constants or domains for any field of a recipe."""
    methods: dict[str, dict[str, Any]]
    """The methods to compare, by name: constants or domains that add to or replace `recipe`."""
    plain: Plain
    search: Search
    curve: Curve = Curve()
    resources: Resources = Resources()
    storage: Storage = Storage()
    tracking: Tracking = Tracking()
