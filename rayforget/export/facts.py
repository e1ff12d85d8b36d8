"""All that a model's card says, as values."""

from collections.abc import Mapping
from dataclasses import dataclass

from rayforget.export.asked import TrainingSet
from rayforget.export.measured import MeasuredAgain
from rayforget.export.point import RecordedPoint
from rayforget.foundations.exporter import Aside, ModelWords
from rayforget.frontier.measured import measure
from rayforget.frontier.points import THETA_0, PointKey
from rayforget.frontier.summary import Measure, Summary
from rayforget.record.sweep import Sweep
from rayforget.space.models import Space
from rayforget.tasks.asked import Prompts
from rayforget.values.points import Spot
from rayforget.values.scores import Score, Split

Scores = Mapping[str, Score]
_RESAMPLES = 1000
"""As many as a report draws, from the same seed: both state the same errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What an adapter beside the merged model loses."""

    rank: int
    scale: float
    largest: float
    """The largest difference of a weight from the merged model's, as a share of the largest change."""
    again: MeasuredAgain
    """The scores of foundation and adapter, merged by peft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """A point, its scores, and how it was exported."""

    space: Space
    sweep: Sweep
    summary: Summary
    point: RecordedPoint
    fraction: float
    """Share of the training."""
    dtype: str
    """`fp32`, `bf16` or `fp16`."""
    hash: str
    """Hash of the tensors in the folder."""
    words: ModelWords
    aside: Aside | None
    theta_0: Mapping[Split, Scores]
    """The pretrained model's own scores."""
    measures: Mapping[Split, Measure]
    """The point's speciality and generality; without `test` if it was not scored there."""
    again: MeasuredAgain | None
    """The folder's own scores, if it was written in another type than it was scored in."""
    measures_again: Mapping[Split, Measure]
    adapted: Adapted | None
    prompts: Mapping[str, Prompts]
    trained_on: Mapping[str, TrainingSet]
    """By task; read from the data and the record, whatever the point."""

    @property
    def index(self) -> int:
        """The point's place in `summary.points`."""
        return next(i for i, point in enumerate(self.summary.points) if point.key == self.point.key)


def theta_0_scores(sweep: Sweep) -> dict[Split, Scores]:
    """The pretrained model's recorded scores; on `test` only if it was scored there."""
    (own,) = sweep.record(THETA_0, 0).points
    tested = sweep.test_scores().get(PointKey(THETA_0, 0, *Spot(0.0)))
    return {"val": own.scores, **({} if tested is None else {"test": tested})}


def measures_of(
    summary: Summary, theta_0: Mapping[Split, Scores], model: Mapping[Split, Scores]
) -> dict[Split, Measure]:
    """(S, G) of one model with errors over items, paired with theta_0's where both are scored on a split."""
    keys = {0: PointKey(THETA_0, 0, 0.0), 1: PointKey("model", 0, 1.0)}
    found: dict[Split, Measure] = {}
    for split, scores in model.items():
        if split not in theta_0:
            continue
        known = {keys[0]: theta_0[split], keys[1]: scores}
        measured = measure(keys, known, summary.roles, theta_0=0, split=split, num_resamples=_RESAMPLES, seed=0).mean(
            [1]
        )
        assert measured is not None
        found[split] = measured
    return found
