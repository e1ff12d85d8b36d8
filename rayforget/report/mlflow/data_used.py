"""A sweep's scores -> the data sets that MLflow lists as its inputs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayforget.frontier.points import THETA_0, TaskRole
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.tracking import without_passwords
from rayforget.values.scores import Score, Split

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from rayforget.space.models import Space

_LONGEST_SOURCE, _LONGEST_DIGEST = 60_000, 36
"""Letters that MLflow accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUsed:
    """One task's items on one split."""

    task: str
    split: Split
    digest: str
    """Hash of the items' contents and labels in order (`Score.items_hash`)."""
    num_items: int
    role: str
    rule: str
    """The metric's name."""
    source: str
    """The task as the space has it, as JSON."""


def data_used(sweep: Sweep, space: "Space", roles: Sequence[TaskRole]) -> list[DataUsed]:
    """The data sets on which a sweep's points were scored: all of them on the same ones, as theta_0 was.

    Raises:
        RecordError: a record is damaged.
    """
    scores: dict[Split, Mapping[str, Score]] = {}
    if sweep.has(THETA_0, 0):
        scores["val"] = sweep.record(THETA_0, 0).points[0].scores
    tested = sweep.test_scores()
    if tested:
        scores["test"] = next(iter(tested.values()))
    return [_of_task(space, role, split, of[role.name]) for role in roles for split, of in scores.items()]


def _of_task(space: "Space", role: TaskRole, split: Split, score: Score) -> DataUsed:
    task = space.tasks[role.name].model_dump(mode="json", exclude_defaults=True)
    return DataUsed(
        task=role.name,
        split=split,
        digest=score.items_hash,
        num_items=len(score.items),
        role=role.role,
        rule=score.rule,
        source=without_passwords(json.dumps(task))[:_LONGEST_SOURCE],
    )


def as_inputs(data: Sequence[DataUsed]) -> list["DatasetInput"]:
    """The data sets as MLflow takes them: each under its task's name, with its split as context."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            dataset=Dataset(
                name=each.task,
                digest=each.digest[:_LONGEST_DIGEST],
                source_type="rayforget",
                source=each.source,
                profile=json.dumps({"items": each.num_items, "role": each.role, "metric": each.rule}),
            ),
            tags=[InputTag("mlflow.data.context", each.split)],
        )
        for each in data
    ]
