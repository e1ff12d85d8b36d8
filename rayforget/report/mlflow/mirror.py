"""The plan of a sweep's runs -> an MLflow store that shows them; a mirror of the record, remade at will."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rayforget.report.mlflow.mirror_plan import RunPlan, SweepView, plan_runs
from rayforget.report.mlflow.tracking import MirrorError, Tracking, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # MLflow's own 7 stop the caller for minutes if a server is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults of what the user has not set; MLflow reads them when it is imported."""
_METRICS_PER_BATCH = 800
_PARAMS_PER_BATCH = 90
_KEY, _KIND, _SWEEP, _CREATED, _DONE = (f"rayforget.{name}" for name in ("key", "kind", "sweep", "created", "mirrored"))


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """What one mirroring did."""

    experiment: str
    """The experiment's id."""
    run: str
    """The sweep's run id."""
    created: int
    """Number of new runs."""
    updated: int
    """Number of existing runs that differed."""
    unchanged: int
    superseded: int
    """Number of point runs that left the frontier."""


def mirror(view: SweepView, tracking: Tracking) -> Mirrored:
    """Makes MLflow's runs of this sweep match the record; repeating it changes nothing, and completes an interrupted
    one.

    Only one process may mirror a sweep at a time; if two have done so, the duplicates are deleted.

    Raises:
        MirrorError: whatever went wrong on MLflow's side; nothing else is affected.
    """
    runs = plan_runs(view)
    with _as_mirror_error(tracking):
        client = _connect(tracking)
        experiment = _experiment(client, view.space_name, tracking)
        return _Writer(client, experiment, view).write(runs, keep_points=view.frontier is None)


def check_tracking(tracking: Tracking) -> None:
    """Raises MirrorError if MLflow cannot open the store."""
    with _as_mirror_error(tracking):
        _connect(tracking).search_experiments(max_results=1)


class _Writer:
    """One mirroring: the client, and the run ids by key."""

    def __init__(self, client: "MlflowClient", experiment: str, view: SweepView) -> None:
        self._client = client
        self._experiment = experiment
        self._identity = {_SWEEP: view.name, _CREATED: str(round(view.created))}
        self._ids: dict[str, str] = {}

    def write(self, runs: Sequence[RunPlan], *, keep_points: bool) -> Mirrored:
        found = self._existing()
        created = updated = superseded = 0
        for run in runs:
            tags = found.get(run.key)
            if tags is None:
                self._create(run)
            if tags is None or tags.get(_DONE) != run.digest:
                self._complete(run)
                created, updated = created + (tags is None), updated + (tags is not None)
        planned = {run.key for run in runs}
        for key, tags in found.items():
            if not keep_points and tags[_KIND] == "point" and key not in planned and tags.get("superseded") != "true":
                self._tag(key, {"superseded": "true", _DONE: "superseded"})
                superseded += 1
        return Mirrored(
            experiment=self._experiment,
            run=self._ids[runs[0].key],
            created=created,
            updated=updated,
            unchanged=len(runs) - created - updated,
            superseded=superseded,
        )

    def _existing(self) -> dict[str, Mapping[str, str]]:
        """Key -> tags of the sweep's runs; records their ids."""
        where = " and ".join(f"tags.`{name}` = '{value}'" for name, value in self._identity.items())
        found: dict[str, Mapping[str, str]] = {}
        token = None
        while True:
            page = self._client.search_runs([self._experiment], where, max_results=1000, page_token=token)
            for run in sorted(page, key=lambda run: str(run.info.run_id)):
                key = run.data.tags[_KEY]
                if key in found:
                    self._client.delete_run(run.info.run_id)
                    continue
                found[key], self._ids[key] = run.data.tags, run.info.run_id
            token = page.token
            if not token:
                return found

    def _create(self, run: RunPlan) -> None:
        tags = {**self._identity, _KEY: run.key, _KIND: run.kind}
        if run.parent is not None:
            tags["mlflow.parentRunId"] = self._ids[run.parent]
        made = self._client.create_run(self._experiment, start_time=run.start_ms, tags=tags, run_name=run.name)
        self._ids[run.key] = made.info.run_id

    def _complete(self, run: RunPlan) -> None:
        """Writes the whole run again, and last the tag that marks it complete."""
        from mlflow.entities import Metric, Param, RunTag

        run_id = self._ids[run.key]
        if run.artifacts:
            with tempfile.TemporaryDirectory() as folder:
                for name, data in run.artifacts.items():
                    Path(folder, name).write_bytes(data)
                self._client.log_artifacts(run_id, folder)
        if run.end_ms is None:
            self._client.update_run(run_id, status=run.status)
        else:
            self._client.set_terminated(run_id, run.status, run.end_ms)
        params = _batches([Param(name, value) for name, value in run.params.items()], _PARAMS_PER_BATCH)
        metrics = _batches([Metric(m.name, m.value, m.time_ms, m.step) for m in run.metrics], _METRICS_PER_BATCH)
        batches: list[tuple[list[Any], list[Any]]] = list(zip_longest(params, metrics, fillvalue=[]))
        for some_params, some_metrics in batches[:-1]:
            self._client.log_batch(run_id, params=some_params, metrics=some_metrics)
        tags = [RunTag(name, value) for name, value in {**run.tags, _DONE: run.digest}.items()]
        self._client.log_batch(run_id, params=batches[-1][0], metrics=batches[-1][1], tags=tags)  # tags go last

    def _tag(self, key: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self._ids[key], tags=[RunTag(name, value) for name, value in tags.items()])


def _batches(entries: list[T], size: int) -> list[list[T]]:
    """Slices of at most `size`; at least one, possibly empty."""
    return [entries[start : start + size] for start in range(0, max(len(entries), 1), size)]


def _connect(tracking: Tracking) -> "MlflowClient":
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if tracking.uri.startswith("sqlite:///"):
        Path(tracking.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking.uri)


def _experiment(client: "MlflowClient", name: str, tracking: Tracking) -> str:
    found: Any = client.get_experiment_by_name(name)
    if found is None:
        location = None if tracking.artifacts is None else f"{tracking.artifacts}/{name}"
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage != "active":
        raise MirrorError(
            f"the MLflow experiment {name} was deleted; restore it (mlflow experiments restore -x "
            f"{found.experiment_id}), then run `rayforget mirror`"
        )
    return str(found.experiment_id)


@contextmanager
def _as_mirror_error(tracking: Tracking) -> Iterator[None]:
    """MLflow raises its own errors, SQLAlchemy's, requests' and the artifact store's: for a sweep they are all one."""
    try:
        yield
    except MirrorError:
        raise
    except Exception as error:
        text = without_secrets(str(error), tracking.uri).strip().splitlines() or [""]
        raise MirrorError(
            f"MLflow at {tracking.name} failed ({type(error).__name__}: {text[0][:300]}); "
            "the record is complete: run `rayforget mirror` when it works again"
        ) from error
