"""What is known of one (trial, checkpoint) on `val` and on `test`: the record's immutable objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rayforget.values.points import Point, Spot
from rayforget.values.scores import Score

RUNS_WITH = "runs_with"
"""The fact of theta_0's record that says how weights are run that do not say it themselves."""
RUNS_AS = "runs_as"
"""The fact of theta_0's record that identifies how any weights are run: `Scorer.runs_as`."""
DATA = "data"
"""The fact of theta_0's record that identifies training sets, classes and prompts by the keys of the space."""
QLORA = "qlora"
"""The fact on an adapter that was trained on a base in 4 bits: the full-precision `base`, and speciality and generality
on `val` when `merged` into it, and `on_4_bits`."""
STATISTICS = "lerped_statistics"
"""The fact of a given model's record that counts the tensors of BatchNorm's statistics that differ from the base's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord:
    """The immutable object of one (trial, step): what was trained and every point of its alpha curves."""

    trial: str
    """Name of the trial, unique in its sweep; sorts in the order in which trials were asked."""
    step: int
    """Optimiser steps taken."""
    fraction: float
    """Share of the training, in (0, 1]; 0 for theta_0's own record."""
    status: Literal["ok", "failed"]
    reason: str | None = None
    """Why the trial failed, with the traceback; None if status is ok."""
    recipe: Mapping[str, Any]
    """The resolved recipe (`Recipe.model_dump(mode="json")`); empty for theta_0's own record."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The searcher's parameters of this trial, with the asked `fraction` and `alpha`; empty for baselines."""
    points: tuple[Point[Score], ...] = ()
    """Points on `val`, the lerp's first, ascending in alpha along each path; empty when failed."""
    theta_0_hash: str
    theta_1_hash: str | None = None
    """Hash of the whole theta_1 (all tensors, names sorted); None when failed."""
    changed: tuple[str, ...] = ()
    """Names of the tensors in which theta_1 may differ from theta_0."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage: `train`, `evaluate`, `save`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Observations: final loss, skipped steps, truncated items."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Versions, git commit and dirty flag, hardware, seeds."""
    finished: float = 0.0
    """Unix time at which the record was made."""

    @property
    def key(self) -> str:
        """`trial-step`, the name of the record's file."""
        return f"{self.trial}-{self.step:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRecord:
    """The immutable object of the report's scores on `test`: the chosen points of one (trial, step)."""

    __test__ = False  # not a test class, despite its name

    trial: str
    step: int
    theta_1_hash: str
    """Hash of the interpolated theta_1; theta_0's hash for theta_0's own record."""
    scores: Mapping[Spot, Mapping[str, Score]]
    """(alpha, path) -> task -> score on `test`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Observations on the `test` data: items left out."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """As in CheckpointRecord, for the run that scored."""
    finished: float
    """Unix time at which the record was made; if a point has two scores, the later one counts."""

    @property
    def key(self) -> str:
        """`trial-step`, the start of the record's file names."""
        return f"{self.trial}-{self.step:06d}"
