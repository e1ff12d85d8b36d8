"""Planned runs -> many new runs of an MLflow database in one transaction, as MLflow's client writes them one by one.

The client commits seven times for a run, each of which waits for the disk. `tests/report/test_mirror.py` compares what
both write; a server is written through the client, since only a database can be.
"""

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rayforget.report.mlflow.mirror_plan import MetricPlan, RunPlan

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUNS_TOGETHER = 200
"""Runs of one transaction."""
_LONGEST_NAME = 250


def can_write_in_bulk(client: "MlflowClient") -> bool:
    """Whether the client's store is a database that this process opens itself."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    return isinstance(client._tracking_client.store, SqlAlchemyStore)


def can_be_in_bulk(run: RunPlan) -> bool:
    """Whether the run has no files, and nothing that MLflow's client would refuse or change."""
    names = [run.name, *run.params, *(metric.name for metric in run.metrics)]
    finite = all(math.isfinite(metric.value) for metric in run.metrics)
    return not run.artifacts and finite and all(len(name) <= _LONGEST_NAME for name in names)


def write_new(
    client: "MlflowClient", experiment: str, runs: Sequence[RunPlan], tags: Sequence[Mapping[str, str]]
) -> list[str]:
    """Writes whole runs that are not there yet and have no artifacts; returns their ids.

    Args:
        client: of a database (`can_write_in_bulk`).
        experiment: the experiment's id.
        runs: the runs.
        tags: all tags of each run.
    """
    from mlflow.store.tracking.dbmodels import models
    from mlflow.utils.uri import append_to_uri_path
    from sqlalchemy import insert

    root = client.get_experiment(experiment).artifact_location
    ids = [uuid.uuid4().hex for _ in runs]
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (models.SqlRun, models.SqlTag, models.SqlParam, models.SqlMetric, models.SqlLatestMetric)
    }
    for run_id, run, own in zip(ids, runs, tags, strict=True):
        place = append_to_uri_path(root, run_id, "artifacts")  # type: ignore[no-untyped-call]
        rows[models.SqlRun].append(_run(run_id, run, experiment=int(experiment), artifacts=place))
        named = {"mlflow.runName": run.name, **own}
        rows[models.SqlTag] += [{"run_uuid": run_id, "key": key, "value": value} for key, value in named.items()]
        rows[models.SqlParam] += [{"run_uuid": run_id, "key": key, "value": value} for key, value in run.params.items()]
        rows[models.SqlMetric] += [_metric(run_id, metric) for metric in dict.fromkeys(run.metrics)]
        rows[models.SqlLatestMetric] += [_metric(run_id, metric) for metric in _latest(run.metrics).values()]
    with client._tracking_client.store.ManagedSessionMaker(read_only=False) as session:
        for table, some in rows.items():
            if some:
                session.execute(insert(table), some)
    return ids


def _run(run_id: str, run: RunPlan, *, experiment: int, artifacts: str) -> dict[str, Any]:
    return {
        "run_uuid": run_id,
        "name": run.name,
        "artifact_uri": artifacts,
        "experiment_id": experiment,
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": "unknown",
        "status": run.status,
        "start_time": run.start_ms,
        "end_time": run.end_ms,
        "deleted_time": None,
        "lifecycle_stage": "active",
    }


def _metric(run_id: str, metric: MetricPlan) -> dict[str, Any]:
    return {
        "run_uuid": run_id,
        "key": metric.name,
        "value": metric.value,
        "timestamp": metric.time_ms,
        "step": metric.step,
        "is_nan": False,
    }


def _latest(metrics: Sequence[MetricPlan]) -> dict[str, MetricPlan]:
    """Each series' value of the largest step, then time, then value, as MLflow shows it."""
    latest: dict[str, MetricPlan] = {}
    for metric in sorted(metrics, key=lambda metric: (metric.step, metric.time_ms, metric.value)):
        latest[metric.name] = metric
    return latest
