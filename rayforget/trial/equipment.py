"""What one worker keeps warm from trial to trial: theta_0, the decoded data, theta_0's scores, the open record."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from pydantic import ValidationError

from rayforget.card import card_of, grow_segments
from rayforget.determinism import ask_cublas, deterministic
from rayforget.distributed import any_rank, from_rank_0, on_rank_0, reason_of_any_rank
from rayforget.errors import ExtensionError, RecordError, SpaceError
from rayforget.evaluate.finite import NotFinite, Scored, require_finite
from rayforget.evaluate.metric_trial import try_metrics
from rayforget.extensions.use import in_a_line, known_use
from rayforget.foundations.prepare import prepare_foundation
from rayforget.foundations.protocol import Foundation, Scorer, State
from rayforget.foundations.sharing import Share, keep_own
from rayforget.frontier.points import THETA_0, TaskRole, generality, speciality, task_roles
from rayforget.heartbeat import beat
from rayforget.interpolate.paths.fit import try_paths
from rayforget.record.cache_folder import cache_folder
from rayforget.record.provenance import code_version, provenance
from rayforget.record.scores_cache import ScoresCache, ScoresKey
from rayforget.record.space_of import lacking_here, lacking_on_this_node
from rayforget.record.storage.fence import Fence
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.record.tensors_cache import TensorsCache
from rayforget.space.curve_paths import CurvePaths, curve_paths
from rayforget.space.foundation import FOUNDATIONS
from rayforget.space.given import AnyRecipe
from rayforget.space.given_space import GivenSpace, first_recipe
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.space.parts import Resources
from rayforget.space.precision import CHOICE, FULL, ScoringPrecision, noted
from rayforget.tasks.identity import data_identity
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.opening import open_tasks
from rayforget.trial.alpha_models import AlphaModels, Ends
from rayforget.trial.changed_since import Start, runs_as
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.kernel_choice import settle_kernels
from rayforget.trial.precise import in_precision
from rayforget.trial.precision_choice import Choice, Measured, choose_precision, measured, precision_of_records, settled
from rayforget.values.points import Point
from rayforget.values.records import DATA, RUNS_AS, CheckpointRecord
from rayforget.values.scores import Score, Split

_log = logging.getLogger(__name__)
_UNUSABLE = (RuntimeError, TypeError, ValueError, NotImplementedError)
"""Errors of models that do not run in a precision, out of memory and what is not deterministic among them."""


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
    distrusted_paths: set[str] = field(default_factory=set)
    """Paths whose models came out otherwise on the device than on the CPU."""
    precision: ScoringPrecision | None = None
    """In which models are scored on `val`; None while it is not settled."""
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
        tasks = open_tasks(spec.space.tasks, cache=cache, hashes=HashStore.in_cache(cache))
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
        if not isinstance(spec.space, GivenSpace):  # given models are not trained
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
            scored = self._theta_0_in(self.precision_of(split), split)
            advice = "are the foundation's weights intact?"
            self._theta_0_scores[split] = require_finite(scored, split, model="theta_0", advice=advice)
        return self._theta_0_scores[split]

    def scorer(self, recipe: AnyRecipe | None, split: Split) -> Scorer:
        """Scores models with this recipe's head, in the sweep's precision on the split."""
        return in_precision(self.foundation.scorer(recipe), self.precision_of(split), self.device)

    def models(self, ends: Ends) -> AlphaModels:
        """Makes the models between two ends, on this rank's device."""
        share = min(1.0, self.space.resources.gpus_per_worker or 1.0)
        return AlphaModels(ends, self.device, distrusted=self.distrusted_paths, share=share)

    def precision_of(self, split: Split) -> ScoringPrecision:
        """The precision of scores on the split; on `val` fp32 until one is settled."""
        return self.space.resources.test_precision if split == "test" else self.precision or FULL

    def settle_precision(self, recipe: AnyRecipe, theta_1: State) -> None:
        """Chooses the precision of scores on `val`, once per sweep, if it is left open; every rank calls it.

        It is written down with theta_0's record, of which the first writer wins: a slot that chose at the same time
        takes what that one chose.

        Args:
            recipe: whose head scores theta_1.
            theta_1: the first theta_1 that is there; its tensors that differ from theta_0.
        """
        if self.precision is not None:
            return
        self.precision = self._settled_precision()
        if self.precision is None:
            choice = self._choose_precision(recipe, {name: x.to(self.device) for name, x in theta_1.items()})
            self.precision = choice.precision
            chosen = self.theta_0_record({CHOICE: choice.facts})
            on_rank_0(lambda: self.sweep.add(chosen), self.device)
        if on_rank_0(self._recorded_theta_0, self.device) is not None:
            self.settle_theta_0()

    def _settled_precision(self) -> ScoringPrecision | None:
        """What the space or the sweep's record says."""
        bound = on_rank_0(lambda: precision_of_records(self.sweep), self.device)
        return settled(self.space.resources, bound, self.sweep.info.name)

    def _choose_precision(self, recipe: AnyRecipe, theta_1: State) -> Choice:
        def measure(precision: ScoringPrecision) -> Measured | None:
            beat(f"try {precision}")
            scorer = in_precision(self.foundation.scorer(recipe), precision, self.device)
            found: Measured | None = None
            try:
                found = measured(lambda: self._theta_0_in(precision, "val"), lambda: scorer.score([theta_1], "val")[0])
            except _UNUSABLE as error:
                if precision == FULL:
                    raise
                _log.info("models do not run in %s here: %s", precision, in_a_line(error))
            return None if any_rank(found is None, self.device) else found

        return from_rank_0(choose_precision(measure, self.roles), self.device)

    def _theta_0_in(self, precision: ScoringPrecision, split: Split) -> Scored:
        scorer = in_precision(self.foundation.scorer(None), precision, self.device)
        key = self._theta_0_key(scorer, split)
        known = on_rank_0(lambda: self.scores_cache.get(key), self.device)
        if known is not None:
            return known
        (scored,) = scorer.score([{}], split)
        if not isinstance(scored, NotFinite):
            on_rank_0(lambda: self.scores_cache.put(key, scored), self.device)
        return scored

    def _theta_0_key(self, scorer: Scorer, split: Split) -> ScoresKey:
        return ScoresKey(
            weights_hash=self.foundation.theta_0_hash,
            items_hash=scorer.items_hash(split),
            classifier=scorer.identity + (" deterministic" if self.space.resources.deterministic else ""),
            code_version=_code_of(self.space),
        )

    def _recorded_theta_0(self) -> CheckpointRecord | None:
        return self.sweep.record(THETA_0, 0) if self.sweep.has(THETA_0, 0) else None

    def settle_theta_0(self) -> None:
        """Measures theta_0 on `val` for the sweep's record, or checks it against the record; every rank calls it.

        If the precision of scores is still to be chosen, theta_0 waits for that.

        Raises:
            RecordError: the sweep was started with another model or other data, or scores in another precision.
        """
        recorded = on_rank_0(self._recorded_theta_0, self.device)
        self.precision = self._settled_precision()
        if recorded is None:
            if self.precision is not None:
                fresh = self.theta_0_record()
                on_rank_0(lambda: self.sweep.add(fresh), self.device)
            return
        start = Start(name=self.sweep.info.name, theta_0=recorded)
        changed = reason_of_any_rank(start.what_changed(self.foundation), self.device)
        changed = changed or start.runs_otherwise(self.foundation, lambda: self.theta_0_scores("val"))
        changed = changed or reason_of_any_rank(start.other_data(self.foundation, self.data), self.device)
        if changed is not None:
            raise RecordError(changed)
        self._theta_0_scores["val"] = dict(recorded.points[0].scores)

    def scored_in(self, split: Split) -> dict[str, Any]:
        """The provenance of a record with scores on the split."""
        return {**self.provenance, **noted(self.precision_of(split))}

    def theta_0_record(self, facts: Mapping[str, Any] = MappingProxyType({})) -> CheckpointRecord:
        """theta_0's own record, with further facts; the same bytes whoever makes it with the same."""
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
                RUNS_AS: runs_as(self.foundation.scorer(None)),
                **({DATA: dict(self.data)} if self.data else {}),
                **facts,
            },
            provenance=noted(self.precision_of("val")),
        )


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
