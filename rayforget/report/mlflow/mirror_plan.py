"""A sweep's record -> the MLflow runs that show it: one for the sweep, one per trial, one per point to compare.

Names of metrics: `val/speciality`, `val/generality` and `val/ROLE/TASK/RULE`. A point has them once, with `test/...`
where the report scored it; a trial has them as series over the alpha curve with step = 1000 * alpha (rounded;
`val/alpha` holds the exact value), an earlier checkpoint as `val_0.5/...`, by fraction, and a path other than the lerp,
if scored on the coarse alphas, as `val_lines_gamma_0.5_-HASH/...`. Seconds are under `system/`, which MLflow shows
apart, and other observations are tags (`facts.NAME`).
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from rayforget.frontier.points import FrontierPoint, PointKey, TaskRole
from rayforget.frontier.recovered import Pair
from rayforget.printable import printable
from rayforget.record.standing import is_finished
from rayforget.report.mlflow.data_used import DataUsed
from rayforget.report.mlflow.mirror_names import MAX_TEXT, flatten_recipe, path_params, safe_name, short, stage_name
from rayforget.report.mlflow.shown_points import COLORS, Place, shown_points
from rayforget.space.path_text import LERP
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.scores import Score, ScoreBrief

COMPARE_FILTER = "tags.`rayforget.kind` = 'point' and tags.superseded = 'false'"
"""Filter for MLflow's search box: the points to compare, of all sweeps of an experiment."""

FRONTIER_TABLE = "frontier_table.json"
"""The artifact that MLflow's UI and `mlflow.load_table` read as a table."""
_LIST_OF_TABLES = json.dumps([{"path": FRONTIER_TABLE, "type": "table"}])
_TABLES = "mlflow.loggedArtifacts"
"""MLflow's tag of the artifacts that are tables, as its `log_table` sets it."""
NOTE, COLOR, _COMMIT = "mlflow.note.content", "mlflow.runColor", "mlflow.source.git.commit"
"""MLflow's tags of what a page shows as description, of a run's colour in charts, and of the code's version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    """The shown part of a sweep."""

    name: str
    identity: str
    """The name that the sweep was created with; with `created` it tells the sweep's runs from all others."""
    space_name: str
    created: float
    """Unix time; distinguishes sweeps of the same name."""
    running: bool
    """Whether more trials are to come."""
    commit: str | None = None
    """The git commit of the code."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Any tags to find the sweep by."""
    data: Sequence[DataUsed] = ()
    """The data sets on which the points were scored."""
    roles: Sequence[TaskRole]
    records: Sequence[AnyCheckpoint]
    points: Sequence[FrontierPoint]
    """All points of the records (`frontier.gather.gather`)."""
    frontier: Sequence[PointKey] | None = None
    """Points that are to be compared, with others; None (while a sweep runs) leaves point runs as they are."""
    picked: PointKey | None = None
    """The point of the frontier that the report recommends."""
    test: Mapping[PointKey, Pair] = field(default_factory=dict)
    """(S, G) on `test` of frontier points that the report has scored."""
    series: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Metric -> (number of finished trials, value), e.g. `val/hypervolume`. A pair once mirrored must not change:
    MLflow cannot take a value back."""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    """File name -> content: `frontier.png`, `frontier.html`, `frontier.json`, `frontier_table.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPlan:
    """One value of one metric."""

    name: str
    value: float
    step: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The target state of one run."""

    key: str
    """Tag `rayforget.key`: unique in its sweep."""
    parent: str | None
    """The parent's key."""
    name: str
    kind: Literal["sweep", "trial", "point"]
    params: Mapping[str, str]
    metrics: tuple[MetricPlan, ...]
    tags: Mapping[str, str]
    """Texts in which `(run:KEY)` stands for the address of another run's page, `(charts:)` for that of the charts."""
    status: Literal["RUNNING", "FINISHED", "FAILED"]
    start_ms: int
    end_ms: int | None
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    data: Sequence[DataUsed] = ()
    place: Place | None = None
    """Why a point is shown."""

    @property
    def digest(self) -> str:
        """Sixteen hex digits over the whole run: a run with this tag is complete and needs no writing."""
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in self.artifacts.items()}
        values = {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "artifacts": hashes}
        text = json.dumps(values, sort_keys=True, default=asdict)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_runs(view: SweepView) -> list[RunPlan]:
    """All runs of a sweep, parents before their children; equal views give equal plans."""
    values = {point.key: point for point in view.points}
    trials: dict[str, list[AnyCheckpoint]] = {}
    for record in sorted(view.records, key=lambda record: (record.trial, record.step)):
        trials.setdefault(record.trial, []).append(record)
    runs = [_plan_sweep(view, trials)]
    runs += [_plan_trial(view, records, values) for records in trials.values()]
    places = {} if view.frontier is None else shown_points(view.points, view.frontier, picked=view.picked)
    for key, place in places.items():
        runs.append(_plan_point(view, place, trials[key[0]], values[key]))
    return runs


def _plan_sweep(view: SweepView, trials: Mapping[str, Sequence[AnyCheckpoint]]) -> RunPlan:
    ends = sorted(_ms(of[-1].finished) for of in trials.values() if is_finished(of) or not of[-1].recipe)
    start = _ms(view.created)

    def time_after(num_trials: int) -> int:
        return ends[min(num_trials, len(ends)) - 1] if ends and num_trials > 0 else start

    metrics = tuple(
        MetricPlan(name=safe_name(name), value=value, step=step, time_ms=time_after(step))
        for name in sorted(view.series)
        for step, value in sorted(view.series[name])
    )
    return RunPlan(
        key=view.identity,
        parent=None,
        name=view.name,
        kind="sweep",
        params={},
        metrics=metrics,
        tags={
            **{name: text[:MAX_TEXT] for name, text in view.tags.items()},
            **({} if view.commit is None else {_COMMIT: view.commit}),
            **({_TABLES: _LIST_OF_TABLES} if FRONTIER_TABLE in view.artifacts else {}),
            NOTE: f"Once the sweep has ended: [its points as charts](charts:), or by the filter ``{COMPARE_FILTER}``.",
        },
        status="RUNNING" if view.running else "FINISHED",
        start_ms=start,
        end_ms=None if view.running else max([start, *ends]),
        artifacts=view.artifacts,
        data=view.data,
    )


def _plan_trial(view: SweepView, records: Sequence[AnyCheckpoint], values: Mapping[PointKey, FrontierPoint]) -> RunPlan:
    last = records[-1]
    failed = [record for record in records if record.status == "failed"]
    status: Literal["RUNNING", "FINISHED", "FAILED"] = "FINISHED"
    if failed:
        status = "FAILED"
    elif view.running and last.fraction not in (0, 1):
        status = "RUNNING"
    metrics = [metric for record in records for metric in _curve_metrics(record, view.roles, values)]
    metrics += [
        MetricPlan(name=safe_name(name), value=value, step=record.step, time_ms=_ms(record.finished))
        for record in records
        for name, value in _observations(record)
    ]
    return RunPlan(
        key=f"{view.identity}/{last.trial}",
        parent=view.identity,
        name=last.trial,
        kind="trial",
        params=_params(last),
        metrics=tuple(metrics),
        tags={
            **_facts(last),
            **({} if view.commit is None else {_COMMIT: view.commit}),
            **({NOTE: printable(failed[0].reason or "failed")[-MAX_TEXT:]} if failed else {}),
        },
        status=status,
        start_ms=min(_ms(record.finished - sum(record.seconds.values())) for record in records),
        end_ms=None if status == "RUNNING" else _ms(last.finished),
    )


def _plan_point(view: SweepView, place: Place, records: Sequence[AnyCheckpoint], point: FrontierPoint) -> RunPlan:
    record = next(record for record in records if record.step == point.step)
    time_ms = _ms(record.finished)
    scores = next(measured.scores for measured in record.points if measured.spot == (point.alpha, point.path))
    figures = {f"val/{name}": value for name, value in _scores(scores, view.roles, point)}
    if point.key in view.test:
        figures["test/speciality"], figures["test/generality"] = view.test[point.key]
    trial = f"{view.identity}/{point.trial}"
    return RunPlan(
        key=f"{trial}/{point.step}/{point.alpha!r}" + ("" if point.path == LERP else f"/{point.path}"),
        parent=view.identity,
        name=point.key.text,
        kind="point",
        params={
            **_params(record),
            "alpha": repr(point.alpha),
            **path_params(point.path),
            "fraction": repr(point.fraction),
            "step": str(point.step),
        },
        metrics=tuple(MetricPlan(name=n, value=v, step=0, time_ms=time_ms) for n, v in sorted(figures.items())),
        tags={
            "superseded": "false",
            "place": place,
            "trial": point.trial,
            "picked": "true" if point.key == view.picked else "false",
            COLOR: COLORS[place],
            NOTE: f"A point of the training [{point.trial}](run:{trial}).",
        },
        status="FINISHED",
        start_ms=time_ms,
        end_ms=time_ms,
        place=place,
    )


def _curve_metrics(
    record: AnyCheckpoint, roles: Sequence[TaskRole], values: Mapping[PointKey, FrontierPoint]
) -> Iterator[MetricPlan]:
    stage = "val" if record.fraction in (0, 1) else f"val_{record.fraction:g}"
    on_grid = {LERP, *(measured.path for measured in record.points if measured.coarse)}
    for measured in record.points:
        point = values[PointKey(record.trial, record.step, *measured.spot)]
        if measured.path not in on_grid:
            continue  # each spot of an inner search is on its own path, which makes no series
        figures = [("alpha", measured.alpha), *_scores(measured.scores, roles, point)]
        for name, value in figures:
            step, time_ms = round(1000 * measured.alpha), _ms(record.finished)
            yield MetricPlan(name=f"{stage_name(stage, measured.path)}/{name}", value=value, step=step, time_ms=time_ms)


def _scores(
    scores: Mapping[str, Score | ScoreBrief], roles: Sequence[TaskRole], point: FrontierPoint
) -> Iterator[tuple[str, float]]:
    yield "speciality", point.speciality
    yield "generality", point.generality
    for role in roles:
        score = scores[role.name]
        metrics = {score.rule: score.value}
        if score.readings:
            metrics = {"likelihood": score.value, **score.readings}
        for metric, value in metrics.items():
            yield safe_name(f"{role.role}/{role.name}/{metric}"), value


def _observations(record: AnyCheckpoint) -> Iterator[tuple[str, float]]:
    """The training's loss, and how long each stage took: finite numbers."""
    loss = record.facts.get("loss")
    if isinstance(loss, int | float) and not isinstance(loss, bool) and math.isfinite(loss):
        yield "train/loss", float(loss)
    for stage, seconds in sorted(record.seconds.items()):
        yield f"system/{stage}_seconds", float(seconds)


def _facts(record: AnyCheckpoint) -> dict[str, str]:
    """The other facts as tags."""
    facts = {name: fact for name, fact in sorted(record.facts.items()) if name != "loss"}
    return {safe_name(f"facts.{name}"): short(f if isinstance(f, str) else json.dumps(f)) for name, f in facts.items()}


def _params(record: AnyCheckpoint) -> dict[str, str]:
    return flatten_recipe(record.recipe) if record.recipe else {"method": "theta_0"}


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
