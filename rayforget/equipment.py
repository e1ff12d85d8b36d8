"""What one worker keeps warm from trial to trial: theta_0, the decoded data, theta_0's scores, the open record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ValidationError

from rayforget.card import card_of, grow_segments
from rayforget.determinism import ask_cublas, deterministic
from rayforget.distributed import on_rank_0, reason_of_any_rank
from rayforget.errors import ExtensionError, RecordError, SpaceError
from rayforget.evaluate.finite import require_finite
from rayforget.evaluate.metric_trial import try_metrics
from rayforget.extension_use import known_use
from rayforget.foundations.prepare import prepare_foundation
from rayforget.foundations.protocol import Foundation, Scorer
from rayforget.foundations.sharing import Share, keep_own
from rayforget.frontier.points import THETA_0, TaskRole, generality, speciality, task_roles
from rayforget.interpolate.paths.fit import try_paths
from rayforget.kernel_choice import settle_kernels
from rayforget.record.cache_folder import cache_folder
from rayforget.record.fence import Fence
from rayforget.record.provenance import code_version, provenance
from rayforget.record.scores_cache import ScoresCache, ScoresKey
from rayforget.record.space_of import lacking_here, lacking_on_this_node
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep
from rayforget.record.tensors_cache import TensorsCache
from rayforget.space.curve_paths import CurvePaths, curve_paths
from rayforget.space.foundation import FOUNDATIONS
from rayforget.space.given_space import first_recipe
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.space.parts import Resources
from rayforget.tasks.identity import data_identity
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.opening import open_tasks
from rayforget.values.points import Point
from rayforget.values.records import DATA, RUNS_AS, RUNS_WITH, CheckpointRecord
from rayforget.values.scores import Score, Split

_ROUNDING = 0.005
"""Share of a task's items whose answers another machine may change by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentSpec:
    """What a worker needs to set itself up."""

    space: Space
    sweep_name: str
    token: int | None = None
    """The driver's number: this worker stops writing once another driver has the sweep. None checks nothing."""


@dataclass(slots=True, kw_only=True)
class Equipment:
    """A worker's standing equipment; a trial leaves behind only cached scores of theta_0."""

    space: Space
    foundation: Foundation
    sweep: Sweep
    device: torch.device
    provenance: Mapping[str, Any]
    scores_cache: ScoresCache
    tensors_cache: TensorsCache | None = None
    """Where penalties keep what they computed from data; None keeps nothing."""
    data: Mapping[str, str] = field(default_factory=dict)
    """`data_identity` of the tasks; what is not in it is not compared with the sweep's start."""
    _theta_0_scores: dict[Split, dict[str, Score]] = field(default_factory=dict)

    @classmethod
    def open(cls, spec: EquipmentSpec, *, local_rank: int = 0, share: Share = keep_own) -> "Equipment":
        """Loads the foundation and the data on this rank's device; `share` decides where theta_0 lies."""
        paths = _load_extensions(spec.space)
        device = device_of(spec.space.resources, local_rank)
        storage = Store.open(spec.space.storage.path).waiting(spec.space.storage.retry_s)
        sweep = Sweep.open(storage, spec.sweep_name)
        if spec.token is not None:
            sweep.store.fence = Fence(sweep.store.folder, spec.token)
        cache = cache_folder(spec.space)
        tasks = open_tasks(spec.space.tasks, hashes=HashStore.in_cache(cache))
        equipment = cls(
            space=spec.space,
            foundation=prepare_foundation(spec.space, cache=cache, device=device, share=share, tasks=tasks),
            sweep=sweep,
            device=device,
            provenance={
                **provenance(seeds={"search": spec.space.search.seed}),
                "deterministic": spec.space.resources.deterministic,
            },
            scores_cache=ScoresCache(storage),
            tensors_cache=TensorsCache(storage, code=_code_of(spec.space)),
            data=data_identity(tasks),
        )
        try_metrics(spec.space.tasks)
        recipe = first_recipe(spec.space)
        try_paths(paths, equipment.foundation.initial(recipe), equipment.foundation.layers(recipe))
        with deterministic(spec.space.resources.deterministic):
            equipment.settle_theta_0()
        repeatable = spec.space.resources.deterministic
        settle_kernels(equipment.foundation, sweep, card_of(device), device, repeatable=repeatable)
        return equipment

    @property
    def roles(self) -> tuple[TaskRole, ...]:
        """Each task's role."""
        return task_roles(self.space)

    def objectives(self, scores: Mapping[str, Score]) -> tuple[float, float]:
        """(speciality, generality)."""
        values = {task: score.value for task, score in scores.items()}
        return speciality(values, self.roles), generality(values, self.roles)

    def theta_0_scores(self, split: Split) -> dict[str, Score]:
        """theta_0's scores, measured once per storage path and then found by weights, items, prompts and code.

        Every rank calls it: unknown scores are measured by all together.
        """
        if split not in self._theta_0_scores:
            key = self._theta_0_key(split)
            known = on_rank_0(lambda: self.scores_cache.get(key), self.device)
            if known is None:
                (scored,) = self.foundation.scorer(None).score([{}], split)
                known = require_finite(scored, split, model="theta_0", advice="are the foundation's weights intact?")
                self._remember(key, known)
            self._theta_0_scores[split] = known
        return self._theta_0_scores[split]

    def _remember(self, key: ScoresKey, scores: dict[str, Score]) -> None:
        on_rank_0(lambda: self.scores_cache.put(key, scores), self.device)

    def _theta_0_key(self, split: Split) -> ScoresKey:
        scorer = self.foundation.scorer(None)
        return ScoresKey(
            weights_hash=self.foundation.theta_0_hash,
            items_hash=scorer.items_hash(split),
            classifier=scorer.identity + (" deterministic" if self.space.resources.deterministic else ""),
            code_version=_code_of(self.space),
        )

    def settle_theta_0(self) -> None:
        """Measures theta_0 on `val` for the sweep's record, or checks it against the record; every rank calls it.

        Raises:
            RecordError: the sweep was started with another model or other data.
        """
        recorded = on_rank_0(lambda: self.sweep.record(THETA_0, 0) if self.sweep.has(THETA_0, 0) else None, self.device)
        if recorded is None:
            measured = self.theta_0_record()
            on_rank_0(lambda: self.sweep.add(measured), self.device)
            return
        changed = reason_of_any_rank(self._what_changed_since(recorded), self.device)
        changed = changed or self._runs_otherwise_than(recorded)
        changed = changed or reason_of_any_rank(self._other_than_at_the_start(recorded), self.device)
        if changed is not None:
            raise RecordError(changed)
        self._theta_0_scores["val"] = dict(recorded.points[0].scores)

    def _what_changed_since(self, record: CheckpointRecord) -> str | None:
        """Why this rank cannot continue the sweep of this theta_0 (another model, or other data); None if it can."""
        if record.theta_0_hash != self.foundation.theta_0_hash:
            return (
                f"sweep {self.sweep.info.name} was started from a model with hash {record.theta_0_hash}, "
                f"foundation.model has {self.foundation.theta_0_hash} now; restore it, or start another sweep"
            )
        items = {name: score.items_hash for name, score in record.points[0].scores.items()}
        today = self.foundation.scorer(None).items_by_task("val")
        changed = [name for name in sorted({*items, *today}) if items.get(name) != today.get(name)]
        if not changed:
            return None
        return (
            f"tasks.{changed[0]}.val does not hold the items that sweep {self.sweep.info.name} was started with, "
            f"so scores on it would not compare (tasks that changed: {', '.join(changed)}); restore the data, or "
            "start another sweep"
        )

    def _runs_otherwise_than(self, record: CheckpointRecord) -> str | None:
        """Why weights without preprocessing of their own are run in another way than when the sweep was started.

        A record of a version that did not write it down is compared by theta_0's answers. Every rank calls it.
        """
        today, then = (facts.get(RUNS_WITH) for facts in (self.foundation.scorer(None).facts("val"), record.facts))
        if today is None or then == today:
            return None
        start = f"sweep {self.sweep.info.name} was started with weights that ran"
        if then is not None:
            return f"{start} with {then}, and now run with {today}; start another sweep, or use the versions of then"
        for name, score in self.theta_0_scores("val").items():
            recorded = record.points[0].scores[name].items
            others, count = int((recorded != score.items).reshape(len(recorded), -1).any(axis=1).sum()), len(recorded)
            if others > _ROUNDING * count:
                return (
                    f"{start} otherwise: theta_0 answers {others} of {count} items of tasks.{name}.val in another way "
                    f"now, with {today}. Scores of both would not compare: start another sweep"
                )
        return None

    def _other_than_at_the_start(self, record: CheckpointRecord) -> str | None:
        """Why this rank's trainings or scores would not compare with the sweep's; facts that an older record lacks are
        not compared."""
        name = self.sweep.info.name
        was = record.facts.get(RUNS_AS)
        if was is not None and was != _runs_as(self.foundation.scorer(None)):
            return (
                f"the model of sweep {name} is run otherwise than when it was started: its weights are the same, its "
                "configuration (activation, preprocessing, tokens) is not, so scores would not compare; restore its "
                "files, or start another sweep"
            )
        known = record.facts.get(DATA, {})
        changed = sorted(key for key in known.keys() & self.data.keys() if known[key] != self.data[key])
        if not changed:
            return None
        trained = [key for key in changed if key.endswith(".train")]
        what = (
            f"{trained[0]} does not hold the items and labels"
            if trained
            else f"the classes or prompts of {changed[0]} (class names may come from folders) are not those"
        )
        return (
            f"{what} that sweep {name} was started with, so its trainings and scores would not compare (what changed: "
            f"{', '.join(changed)}); restore the data, or start another sweep"
        )

    def theta_0_record(self) -> CheckpointRecord:
        """theta_0's own record; the same bytes whoever makes it."""
        return CheckpointRecord(
            trial=THETA_0,
            step=0,
            fraction=0.0,
            status="ok",
            recipe={},
            points=(Point(alpha=0.0, coarse=True, scores=self.theta_0_scores("val")),),
            theta_0_hash=self.foundation.theta_0_hash,
            theta_1_hash=self.foundation.theta_0_hash,
            facts={
                **self.foundation.scorer(None).facts("val"),
                RUNS_AS: _runs_as(self.foundation.scorer(None)),
                **({DATA: dict(self.data)} if self.data else {}),
            },
        )


def _runs_as(scorer: Scorer) -> str:
    """How weights are run; by the identity for another package's scorer that does not say it."""
    return str(getattr(scorer, "runs_as", None) or scorer.identity)


def _code_of(space: Space) -> str:
    """Version of the code that runs the model: rayforget's, and that of another package that brings the foundation."""
    used = known_use(FOUNDATIONS.group, space.foundation.kind)
    brought = () if used is None else (used.package, used.version, used.source)
    return " ".join(str(part) for part in (code_version(), *brought))


def _load_extensions(space: Space) -> CurvePaths:
    """Imports what other packages bring, and gives the paths; raises SpaceError if this node lacks one of them."""
    try:
        methods_of(space)
        task_roles(space)
        return curve_paths(space.curve.paths)
    except (ValidationError, ExtensionError) as error:
        lacking = lacking_here(error) if isinstance(error, ValidationError) else str(error)
        if lacking is None:
            raise
        raise lacking_on_this_node(lacking) from None


def device_of(resources: Resources, local_rank: int) -> torch.device:
    """This rank's GPU if the space asks for GPUs, else the CPU."""
    if resources.gpus_per_worker == 0:
        return torch.device("cpu")
    if torch.cuda.device_count() == 0:
        raise SpaceError("resources.gpus_per_worker asks for GPUs, this machine shows none; set it to 0 for the CPU")
    if resources.deterministic:
        ask_cublas()
    grow_segments()
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32; the recipe asks for bf16 and fp16
    # A Ray Train worker sees the GPUs of its slot on this node; under torchrun a rank sees all of them.
    return torch.device("cuda", local_rank % torch.cuda.device_count())
