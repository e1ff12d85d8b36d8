"""A sweep's record -> the MLflow runs that show it: one for the sweep, one per trial, one per frontier point.

Names of metrics: `val/speciality`, `val/generality` and `val/ROLE/TASK/RULE`, each a series over the alpha curve with
step = 1000 * alpha (rounded; `val/alpha` holds the exact value); an earlier checkpoint has `val_0.5/...`, by fraction,
and a path other than the lerp, if scored on the coarse alphas, `val_lines_gamma_0.5_-HASH/...`. Filter for MLflow's
compare page: tags.`rayforget.kind` = 'point' and tags.superseded = 'false'.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from rayforget.frontier.points import FrontierPoint, PointKey, TaskRole
from rayforget.frontier.recovered import Pair
from rayforget.printable import printable
from rayforget.record.standing import is_finished
from rayforget.space.path_text import LERP, parse_path
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.scores import Score, ScoreBrief

MAX_POINTS = 100
"""Most point runs of a sweep: MLflow's compare page loads a hundred runs at a time."""
COMPARE_FILTER = "tags.`rayforget.kind` = 'point' and tags.superseded = 'false'"
"""Filter for MLflow's search box to compare the frontier's points."""

FRONTIER_TABLE = "frontier_table.json"
"""The artifact that MLflow's UI and `mlflow.load_table` read as a table."""
_LIST_OF_TABLES = json.dumps([{"path": FRONTIER_TABLE, "type": "table"}])
_TABLES = "mlflow.loggedArtifacts"
"""MLflow's tag of the artifacts that are tables, as its `log_table` sets it."""
_REFUSED = re.compile(r"[^\w./ -]", re.ASCII)
_MAX_TEXT = 5000
"""MLflow cuts longer parameters and tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    """The shown part of a sweep."""

    name: str
    space_name: str
    created: float
    """Unix time; distinguishes sweeps of the same name."""
    running: bool
    """Whether more trials are to come."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Any tags to find the sweep by, e.g. the git commit."""
    roles: Sequence[TaskRole]
    records: Sequence[AnyCheckpoint]
    points: Sequence[FrontierPoint]
    """All points of the records (`frontier.gather.gather`)."""
    frontier: Sequence[PointKey] | None = None
    """Points that get a run of their own; None (while a sweep runs) leaves point runs as they are."""
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
    status: Literal["RUNNING", "FINISHED", "FAILED"]
    start_ms: int
    end_ms: int | None
    artifacts: Mapping[str, bytes] = field(default_factory=dict)

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
    for key in _thin_out(view.frontier or (), values):
        runs.append(_plan_point(view, key, trials[key[0]], values[key]))
    return runs


def flatten_recipe(recipe: Mapping[str, Any]) -> dict[str, str]:
    """A resolved recipe as MLflow parameters.

    Nested names are joined by dots; a list of objects with a kind is keyed by it (`penalties.l2.strength`), so that a
    parameter has the same name in every run; other lists are joined by commas.
    """
    return dict(sorted(_flatten("", recipe)))


def safe_name(name: str) -> str:
    """A metric's name with the characters that MLflow refuses (`=`, `@`, `|`, ...) replaced; names stay distinct."""
    clean = _REFUSED.sub("_", name)
    return clean if clean == name else f"{clean}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


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
    note = f"Frontier points: filter the experiment's runs by {COMPARE_FILTER}, select them, and compare."
    return RunPlan(
        key=view.name,
        parent=None,
        name=view.name,
        kind="sweep",
        params={},
        metrics=metrics,
        tags={
            **{name: text[:_MAX_TEXT] for name, text in view.tags.items()},
            **({_TABLES: _LIST_OF_TABLES} if FRONTIER_TABLE in view.artifacts else {}),
            "mlflow.note.content": note,
        },
        status="RUNNING" if view.running else "FINISHED",
        start_ms=start,
        end_ms=None if view.running else max([start, *ends]),
        artifacts=view.artifacts,
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
        key=f"{view.name}/{last.trial}",
        parent=view.name,
        name=last.trial,
        kind="trial",
        params=_params(last),
        metrics=tuple(metrics),
        tags={"mlflow.note.content": printable(failed[0].reason or "failed")[-_MAX_TEXT:]} if failed else {},
        status=status,
        start_ms=min(_ms(record.finished - sum(record.seconds.values())) for record in records),
        end_ms=None if status == "RUNNING" else _ms(last.finished),
    )


def _plan_point(view: SweepView, key: PointKey, records: Sequence[AnyCheckpoint], point: FrontierPoint) -> RunPlan:
    record = next(record for record in records if record.step == point.step)
    time_ms = _ms(record.finished)
    scores = next(measured.scores for measured in record.points if measured.spot == (point.alpha, point.path))
    figures = {"alpha": point.alpha, "step": float(point.step)}
    figures.update({f"val/{name}": value for name, value in _scores(scores, view.roles, point)})
    if key in view.test:
        figures["test/speciality"], figures["test/generality"] = view.test[key]
    return RunPlan(
        key=f"{view.name}/{point.trial}/{point.step}/{point.alpha!r}"
        + ("" if point.path == LERP else f"/{point.path}"),
        parent=f"{view.name}/{point.trial}",
        name=f"{point.trial} step {point.step} alpha {point.alpha:g}"
        + ("" if point.path == LERP else f" of {point.path}"),
        kind="point",
        params={
            **_params(record),
            "alpha": repr(point.alpha),
            **_path_params(point.path),
            "fraction": repr(point.fraction),
            "step": str(point.step),
        },
        metrics=tuple(MetricPlan(name=n, value=v, step=0, time_ms=time_ms) for n, v in sorted(figures.items())),
        tags={"superseded": "false"},
        status="FINISHED",
        start_ms=time_ms,
        end_ms=time_ms,
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
            yield MetricPlan(name=f"{_of_path(stage, measured.path)}/{name}", value=value, step=step, time_ms=time_ms)


def _of_path(stage: str, path: str) -> str:
    """`val`, or for a path other than the lerp `val_lines_gamma_0.5_-1a2b`."""
    return stage if path == LERP else f"{stage}_{safe_name(path)}"


def _path_params(path: str) -> dict[str, str]:
    """The path's name as `path`, and its parameters as `path.gamma` and so on."""
    name, parameters = parse_path(path)
    return {"path": name, **flatten_recipe({"path": parameters})}


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
    """Seconds, and the facts that are finite numbers."""
    for prefix, entries in (("seconds", record.seconds), ("facts", record.facts)):
        for name, value in sorted(entries.items()):
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                yield f"{prefix}/{name}", float(value)


def _params(record: AnyCheckpoint) -> dict[str, str]:
    return flatten_recipe(record.recipe) if record.recipe else {"method": "theta_0"}


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else name, item)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            kind = item.get("kind", index)
            yield from _flatten(f"{prefix}.{kind}", {name: part for name, part in item.items() if name != "kind"})
    elif isinstance(value, list | tuple):
        yield prefix, printable(",".join(map(str, value)))[:_MAX_TEXT]
    else:
        yield prefix, printable(value if isinstance(value, str) else json.dumps(value))[:_MAX_TEXT]


def _thin_out(frontier: Sequence[PointKey], values: Mapping[PointKey, FrontierPoint]) -> list[PointKey]:
    """At most MAX_POINTS keys, evenly spread along the frontier, including both ends."""
    ordered = sorted(frontier, key=lambda key: (values[key].speciality, key.order))
    if len(ordered) <= MAX_POINTS:
        return ordered
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, MAX_POINTS).round().astype(int)]


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
