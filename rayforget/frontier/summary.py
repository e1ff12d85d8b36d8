"""A report's content as values: points, frontier, baselines, recovered per method."""

from collections.abc import Mapping
from dataclasses import dataclass

from rayforget.frontier.band import Band
from rayforget.frontier.intervals import Interval
from rayforget.frontier.points import FrontierPoint, TaskRole
from rayforget.frontier.recovered import Pair, Recovered
from rayforget.frontier.split_halves import HalvedTask, WholeScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """(S, G) of one model, or of a mean of models, on one split."""

    speciality: float
    generality: float
    speciality_error: float | None = None
    """Standard error over items (paired bootstrap); None if there was no bootstrap."""
    generality_error: float | None = None
    difference_errors: Pair | None = None
    """Standard errors of the differences to theta_0 in S and G: paired, so smaller than the two errors suggest. None if
    theta_0 is not scored on the split."""

    @property
    def pair(self) -> Pair:
        """(speciality, generality)."""
        return (self.speciality, self.generality)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """theta_0, or plain fine-tuning as the mean of its seeds."""

    points: tuple[int, ...]
    """Indices into the summary's points: theta_0's own, or one per seed."""
    val: Measure
    test: Measure | None
    spread_val: Pair | None
    """Standard deviation of S and G over the seeds (ddof = 1); None for one model."""
    spread_test: Pair | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What one set of chosen points recovers."""

    chosen: tuple[int, ...]
    """Indices into the summary's points: non-dominated on `val`, ascending in speciality."""
    val: Recovered | None
    """Optimistic: chosen and scored on the same items. None while plain fine-tuning is not measured."""
    test: Recovered | None
    """None if a chosen point or a baseline has no `test` score."""
    interval: Interval | None
    """The interval on `test`, over items and plain fine-tuning's seeds, for these very trainings; None if `test` is
    None or undefined, if there was no bootstrap, and for a single method: methods are compared by `OneTraining`."""
    untested: int
    """Number of chosen points without a `test` score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTraining:
    """What one training of a method recovers alone, on `val`."""

    mean: float
    """Mean over recipes (over their means, if they have seeds). Optimistic: each training's points are chosen and
    scored on the same items."""
    recipes: int
    """Number of independent draws: recipes, or the seeds of a single recipe."""
    interval: Interval | None
    """The interval over items, recipes and plain fine-tuning's seeds; None for one recipe or without a bootstrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSummary:
    """One method, or `plain`, or `all`."""

    method: str
    trainings: int
    """Number of trainings that have points."""
    failed: int
    """Number of trainings that failed without points."""
    alpha_1: Recovery
    """From the points with alpha = 1 on the lerp alone."""
    curve: Recovery
    """From all alphas of the common grid, on the lerp."""
    one_alone: OneTraining | None = None
    """With alpha = 1 alone; None if undefined, and for `all`."""
    one_curve: OneTraining | None = None
    """With all alphas of the common grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSummary:
    """One path over all methods and plain fine-tuning together."""

    path: str
    """The path's text; its name if an inner search fits it."""
    searched: bool
    models: int
    """Number of models scored for it."""
    alone: Recovery
    """From its own points."""
    with_lerp: Recovery
    """From these and the lerp's points: compared to the lerp alone, what the path adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All that the table, the picture and the page show."""

    name: str
    """The sweep's name."""
    roles: tuple[TaskRole, ...]
    points: tuple[FrontierPoint, ...]
    """Ascending by `PointKey.order`, as `val` sees them."""
    frontier: tuple[int, ...]
    """Indices into `points`, ascending in speciality."""
    val: Mapping[int, Measure]
    """Every chosen point and the baselines' models, with their standard errors."""
    test: Mapping[int, Measure]
    """The points scored on `test`, with their standard errors."""
    band: Band | None = None
    """In which the frontier lies on `val`; None without a bootstrap."""
    test_band: Band | None = None
    """In which its points lie on `test`; None also while one of them is not scored there."""
    theta_0: Baseline
    plain: Baseline | None
    """None while plain fine-tuning is not measured."""
    plain_failed: str | None = None
    """Why there is no such measurement, if every training of it that has ended so far has failed."""
    recovery: Recovery
    """The frontier's, with refined alphas and every path."""
    methods: tuple[MethodSummary, ...]
    """In the order of their names, then `plain`."""
    together: MethodSummary
    """All methods and `plain` on the common alphas."""
    paths: tuple[PathSummary, ...] = ()
    """The lerp first; empty if it is the only path."""
    halved: tuple[HalvedTask, ...] = ()
    """Tasks whose `val` and `test` are parts of one labelled split."""
    whole: tuple[WholeScore, ...] = ()
    """Scores on both parts together, for the models in the tables; empty unless requested."""
    adaptive: bool = True
    """Whether a sampler chose recipes by what others scored, so that they are no independent draws."""
    notice: str | None = None
    """What a reader must know first: that this report is stale."""
    remarks: tuple[str, ...] = ()
    """What a reader must know of the data: skipped images, cut texts."""

    @property
    def frontier_curves(self) -> list[list[FrontierPoint]]:
        """The points of each curve that owns a point of the frontier; curves by (trial, step, path)."""
        owners: dict[tuple[str, int, str], list[FrontierPoint]] = {
            curve: [] for curve in sorted({self.points[i].curve for i in self.frontier})
        }
        for point in self.points:
            if point.curve in owners:
                owners[point.curve].append(point)
        return list(owners.values())

    @property
    def split(self) -> str:
        """The split of the headline: `test` as soon as it is complete, else `val`."""
        return "val" if self.recovery.test is None else "test"
