"""A small sweep for MLflow, and all that MLflow holds of it."""

from collections.abc import Mapping
from typing import Any

import summaries

from rayforget.report.mlflow.mirror_plan import SweepView
from rayforget.report.mlflow.tracking import Tracking


def make_view(trials: int = 3, **changes: Any) -> SweepView:
    given = {
        "tags": {"commit": "abc"},
        "series": {"val/hypervolume": [(n, 0.01 * n) for n in range(1, 4)]},
        "artifacts": {"frontier.json": b"{}", "frontier.png": b"png"},
    }
    return summaries.make_view(trials=trials, **{**given, **changes})


def contents(tracking: Tracking, space_name: str = "tiny") -> dict[str, Any]:
    """Everything in an MLflow experiment, by the runs' keys and without their ids."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.get_experiment_by_name(space_name)
    runs = client.search_runs([experiment.experiment_id], max_results=5000)
    keys = {run.info.run_id: run.data.tags["rayforget.key"] for run in runs}
    assert len(set(keys.values())) == len(keys)
    found = {}
    for run in runs:
        tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
        found[keys[run.info.run_id]] = {
            "parent": keys.get(run.data.tags.get("mlflow.parentRunId", "")),
            "tags": {name: without_ids(text, keys) for name, text in tags.items()},
            "params": run.data.params,
            "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
            "metrics": {
                name: sorted((m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, name))
                for name in run.data.metrics
            },
            "artifacts": sorted(item.path for item in client.list_artifacts(run.info.run_id)),
        }
    return found


def without_ids(text: str, keys: Mapping[str, str]) -> str:
    for run_id, key in keys.items():
        text = text.replace(run_id, key)
    return text
