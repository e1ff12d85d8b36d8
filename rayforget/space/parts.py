"""The parts of a space file, each checked by itself: what to train, how often, where, and what to keep."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from rayforget.space.curve_paths import path_problems
from rayforget.space.foundation import Foundation
from rayforget.space.frozen import Frozen, FrozenDict, Name, Problem
from rayforget.space.path_schema import WrittenPaths
from rayforget.space.path_text import LERP
from rayforget.space.paths import LocalPath, Place
from rayforget.space.precision import Asked, ScoringPrecision
from rayforget.space.searchable import Tree, constant_recipe, open_recipe
from rayforget.space.tasks.any_task import Task

OpenTree = Annotated[FrozenDict[str, Any], Tree(open_recipe)]
"""A recipe's fields as constants or domains, as written."""
ConstantTree = Annotated[FrozenDict[str, Any], Tree(constant_recipe)]
"""A recipe's fields as constants, as written."""


class Search(Frozen):
    """The number of trainings, and who chooses them."""

    trainings: PositiveInt
    """Number of trainings, without the baselines."""
    seeds: PositiveInt = 1
    """Trainings per recipe, each with another seed."""
    seed: NonNegativeInt
    """The sweep's seed, from which the sampler's and every training's derive."""
    sampler: Literal["tpe", "random", "nsga2"] = "tpe"
    """Who chooses recipes: Optuna's tree-structured Parzen estimator, chance, or its genetic algorithm."""
    startup: PositiveInt = 10
    """Trainings drawn at random before the sampler takes over."""
    balance: Literal["method", "none"] = "method"
    """method: every method gets the same number of trainings; none: the sampler chooses the method too."""
    feed: Literal["none", "nondominated", "all"] = "nondominated"
    """Which points of a finished curve the sampler is told besides the asked one; only tpe can use them."""

    def problems(self) -> Iterable[Problem]:
        """Recipes trained with only some of their seeds."""
        if self.trainings % self.seeds:
            fits = self.trainings + self.seeds - self.trainings % self.seeds
            text = f"found {self.trainings} with seeds: {self.seeds}; every recipe needs all of its seeds: write {fits}"
            yield Problem(at=("trainings",), text=text)


class Curve(Frozen):
    """The alphas and the checkpoints of every training to score."""

    coarse: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    """The alphas common to every training; must include 0 and 1. Values outside [0, 1] extrapolate."""
    refine: NonNegativeInt = 4
    """How many further alphas a curve may get where its objectives bend or the frontier is undecided; all its paths
    share them."""
    paths: WrittenPaths = FrozenDict({LERP: FrozenDict()})
    """The scored paths from theta_0 to theta_1, by name; must include `lerp: {}`, the straight line. A parameter is a
    constant, a grid (`{grid: [0.1, 0.5]}`: a path for each value, all on the coarse alphas), or a domain, for which
    `search: {evaluations: 8}` says how many models of each checkpoint an inner search may score on `val`. They cost
    evaluations, no trainings."""
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    """Shares of the training at which a checkpoint gets a curve of its own; must include 1."""

    def problems(self) -> Iterable[Problem]:
        """Values that are missing, repeated or out of order."""
        for field, needed in (("coarse", {0.0, 1.0}), ("fractions", {1.0})):
            found: tuple[float, ...] = getattr(self, field)
            wanted = sorted({*found, *needed})
            if list(found) != wanted:
                text = (
                    f"found {list(found)}; write ascending values, each once, with "
                    f"{' and '.join(f'{value:g}' for value in sorted(needed))} among them: {wanted}"
                )
                yield Problem(at=(field,), text=text)
        yield from (Problem(at=("paths", *it.at), text=it.text) for it in path_problems(self.paths))


class Resources(Frozen):
    """What a sweep may use of the machine or the cluster."""

    slots: PositiveInt = 1
    """Worker groups that train side by side."""
    workers_per_slot: PositiveInt = 1
    """Data-parallel workers of one training."""
    cpus_per_worker: PositiveFloat = 2
    """CPU cores that each worker reserves."""
    gpus_per_worker: NonNegativeFloat = 0
    """GPUs that each worker reserves: 0, a share of one, or a whole number."""
    accelerator: str | None = None
    """Ray's name of the card that workers must have (`L4`, `A10G`, `H100`), so that the ranks of one training are alike
    on a cluster of several kinds; null takes any."""
    trial_timeout_s: PositiveFloat = 3600
    """A training without a sign of progress for this long is ended and recorded as failed."""
    max_gpu_hours: PositiveFloat | None = None
    """GPU hours after which no training begins; those that have begun end, and the report follows. A training counts
    its seconds, with scoring on `val` and saving, times the GPUs of its workers; resuming the sweep goes on counting.
    null sets no limit."""
    max_attempts: PositiveInt = 3
    """How often a slot's workers try a job in all, if they die of it or one of them alone fails.

    After that a training is recorded as failed, with the reason of the last attempt; if data or storage were the
    reason, or the job was scores on `test`, the sweep halts instead."""
    checkpoint_every_s: PositiveFloat = 60
    """How often a training saves what it needs to go on after its workers died."""
    cache: LocalPath | None = None
    """Folder on each node for decoded evaluation sets; null takes `cache` in a local storage path, else
    ~/.cache/rayforget of the node's user."""
    evaluation_batch: PositiveInt = 256
    """Images per forward pass of an evaluation."""
    evaluation_tokens: PositiveInt = 16384
    """Tokens per forward pass of an evaluation of a language model."""
    sharding: Literal["none", "fsdp"] = "none"
    """none: every worker of a slot holds all weights (DDP); fsdp: each holds a share of them (FSDP2)."""
    deterministic: bool = False
    """Whether trainings and scores are bit-identical when the same GPU repeats them: torch is then restricted to
    deterministic algorithms, which cost time (a tenth is common, with some kernels much more) and memory, and an
    operation without one ends the training with its name. On a CPU they always are."""
    resident_gib: PositiveFloat = 2.0
    """Memory for interpolated models that share one pass over a batch."""
    evaluation_precision: Asked = "auto"
    """How models are run when they are scored on `val`: fp32; tf32, fp32 with products rounded to TF32 (GPUs); bf16 or
    fp16, autocast. auto is fp32 on CPUs. On GPUs it takes the fastest whose scores of theta_0 and of the first theta_1
    differ from fp32's by less than a tenth of their standard errors, for the whole sweep."""
    test_precision: ScoringPrecision = "fp32"
    """Likewise on `test`."""

    def problems(self) -> Iterable[Problem]:
        """Shares of several GPUs, which Ray does not give, and of one GPU by workers that NCCL must connect; TF32 and
        GPU hours on CPUs, which have none."""
        for field in ("evaluation_precision", "test_precision"):
            if getattr(self, field) == "tf32" and self.gpus_per_worker == 0:
                text = "found tf32 with gpus_per_worker: 0; only GPUs have it: write fp32, or bf16, which CPUs have too"
                yield Problem(at=(field,), text=text)
        if self.max_gpu_hours is not None and self.gpus_per_worker == 0:
            text = f"found {self.max_gpu_hours:g} with gpus_per_worker: 0, which spends no GPU hours: leave it out"
            yield Problem(at=("max_gpu_hours",), text=text)
        if self.gpus_per_worker > 1 and self.gpus_per_worker % 1:
            text = f"found {self.gpus_per_worker}; above 1, Ray gives whole GPUs only: write a whole number"
            yield Problem(at=("gpus_per_worker",), text=text)
        if self.accelerator is not None and self.gpus_per_worker == 0:
            text = f"found {self.accelerator} with gpus_per_worker: 0; set gpus_per_worker, or leave accelerator out"
            yield Problem(at=("accelerator",), text=text)
        if 0 < self.gpus_per_worker < 1 and self.workers_per_slot > 1:
            text = (
                f"found {self.gpus_per_worker:g} with workers_per_slot: {self.workers_per_slot}; the workers of one "
                "training need a GPU each (NCCL takes no two of them on one): write 1, or workers_per_slot: 1 and more "
                "slots, which may share a GPU"
            )
            yield Problem(at=("gpus_per_worker",), text=text)


class Keep(Frozen):
    """Which weights stay on disk."""

    margin: Annotated[float, Field(ge=0)] | None = None
    """Distance from the frontier, in score units, within which weights are kept; null takes one standard error."""
    max_gib: PositiveFloat = 20.0
    """Limit on all kept weights; those farthest from the frontier are deleted first."""


class Storage(Frozen):
    """Where sweeps are kept."""

    path: Place = "runs"
    """Local folder or URI (s3://, gs://) that holds one folder per sweep."""
    shared: bool = False
    """Whether every node of a cluster sees the local folder `path` under this path: a shared disk."""
    retry_s: NonNegativeFloat = 600
    """How long a sweep waits for a storage that does not answer, or is overloaded, before it halts."""
    keep: Keep = Keep()
    """Which weights to keep."""


class Tracking(Frozen):
    """The MLflow mirror."""

    enabled: bool = True
    """Whether sweeps are mirrored while they run; `rayforget mirror` does it at any later time."""
    uri: str | None = None
    """null takes MLFLOW_TRACKING_URI, else SQLite in the storage path. A password is written as a variable of the
    environment, which is read when MLflow is asked: `http://me:${MLFLOW_PASSWORD}@host`."""


class Plain(Frozen):
    """Plain fine-tuning, the baseline: no penalty, no adapter; what is not set here is taken from `recipe`."""

    set: ConstantTree = FrozenDict()
    """Constants of the recipe, for everything that `recipe` leaves open or that should differ from it."""
    seeds: PositiveInt = 3
    """Number of trainings whose mean is the baseline."""


class SpaceParts(Frozen):
    """All contents of a space file; `rayforget.space.models.Space` checks that they fit together."""

    name: Name
    """Name of the MLflow experiment and, with a timestamp, of the sweeps."""
    vars: FrozenDict[str, str] = FrozenDict()
    """Variables, written ${name} elsewhere; their own values may read the environment by ${NAME} and
    ${NAME:-default}."""
    foundation: Foundation
    """The pretrained model, theta_0."""
    tasks: FrozenDict[Name, Task]
    """The tasks, by name."""
    recipe: OpenTree = FrozenDict()
    """Common to all methods: constants or domains for any field of a recipe."""
    methods: Annotated[FrozenDict[Name, OpenTree], Field(min_length=1)]
    """The methods to compare, by name: constants or domains that add to or replace those of `recipe`."""
    plain: Plain
    """The baseline: plain fine-tuning."""
    search: Search
    """The number of trainings, and who chooses them."""
    curve: Curve = Curve()
    """The alphas and checkpoints to score."""
    resources: Resources = Resources()
    """Workers, memory and time."""
    storage: Storage = Field(default_factory=Storage)
    """Where sweeps are kept."""
    tracking: Tracking = Tracking()
    """The MLflow mirror."""
