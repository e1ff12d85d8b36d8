"""The plan of a sweep's runs -> an MLflow store that shows them; a mirror of the record, remade at will."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayforget.report.mlflow.logged_models import ALIAS
from rayforget.report.mlflow.mirror_names import CREATED_TAG, SWEEP_TAG, sweep_filter
from rayforget.report.mlflow.mirror_plan import RunPlan, SweepView, plan_runs
from rayforget.report.mlflow.mirror_writer import MirrorWriter, Written
from rayforget.report.mlflow.saved_view import LONGEST, TAG, TESTED, filter_link, saved_view, view_key, view_link
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
_KIND, _MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"
"""MLflow's tag of what an experiment's page is to show; 3.17 does not heed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored(Written):
    """What one mirroring did."""

    experiment: str
    """The experiment's id."""
    link: str | None
    """Where MLflow shows the points, below the server's address; None while a sweep runs."""
    registered: str | None
    """Name and version of the registered pick, if it was to be registered."""


def mirror(view: SweepView, tracking: Tracking, *, register: bool = False) -> Mirrored:
    """Makes MLflow's runs of this sweep match the record; repeating it changes nothing, and completes an interrupted
    one.

    Only one process may mirror a sweep at a time; if two have done so, the duplicates are deleted.

    Args:
        view: the sweep.
        tracking: the store.
        register: whether the picked point becomes the `champion` of the space's name in MLflow's registry.

    Raises:
        MirrorError: whatever went wrong on MLflow's side, or no point is picked; nothing else is affected.
    """
    runs = plan_runs(view)
    with _as_mirror_error(tracking):
        client = _connect(tracking)
        experiment = _experiment(client, view.space_name, tracking)
        charts = view_link(experiment, view_key(view.identity, view.created))
        writer = MirrorWriter(client, experiment, view, charts=charts.removeprefix("/"))
        written = writer.write(runs, keep_points=view.frontier is None)
        return Mirrored(
            run=written.run,
            created=written.created,
            updated=written.updated,
            unchanged=written.unchanged,
            superseded=written.superseded,
            experiment=experiment,
            link=None if view.frontier is None else _save_view(client, experiment, view, runs),
            registered=_register(writer, view, runs) if register else None,
        )


def find_link(tracking: Tracking, *, space_name: str, identity: str, created: float) -> str | None:
    """Where MLflow shows a mirrored sweep's points, as `Mirrored.link`; None if it does not hold any.

    Raises:
        MirrorError: MLflow cannot open the store.
    """
    with _as_mirror_error(tracking):
        client = _connect(tracking)
        experiment: Any = client.get_experiment_by_name(space_name)
        if experiment is None:
            return None
        if TAG + view_key(identity, created) in experiment.tags:
            return _link(experiment, identity, created)
        where = f"{sweep_filter(identity, created)} and tags.`rayforget.kind` = 'sweep'"
        runs = client.search_runs([experiment.experiment_id], where, max_results=1)
        return filter_link(experiment.experiment_id, identity, created) if runs else None


def newest_links(tracking: Tracking, *, identity: str | None = None, most: int = 10) -> list[tuple[str, str]]:
    """Names of the sweeps that MLflow holds, newest first, and where it shows their points; no record is needed.

    Args:
        tracking: the store.
        identity: the name of one sweep, the only one then.
        most: how many of them.

    Raises:
        MirrorError: MLflow cannot open the store.
    """
    with _as_mirror_error(tracking):
        client = _connect(tracking)
        experiments: dict[str, Any] = {each.experiment_id: each for each in client.search_experiments()}
        where = "tags.`rayforget.kind` = 'sweep'"
        if identity is not None:
            where += f" and tags.`{SWEEP_TAG}` = '{identity}'"
        order = ["attributes.start_time DESC"]
        runs = client.search_runs(list(experiments), where, order_by=order, max_results=1 if identity else most)
        return [
            (
                str(run.data.tags[SWEEP_TAG]),
                _link(
                    experiments[run.info.experiment_id],
                    run.data.tags[SWEEP_TAG],
                    float(run.data.tags[CREATED_TAG]),
                ),
            )
            for run in runs
        ]


def _link(experiment: Any, identity: str, created: float) -> str:
    """The saved view of a sweep's points, or a list of them while there is none."""
    key = view_key(identity, created)
    number = str(experiment.experiment_id)
    return view_link(number, key) if TAG + key in experiment.tags else filter_link(number, identity, created)


def _save_view(client: "MlflowClient", experiment: str, view: SweepView, runs: Sequence[RunPlan]) -> str:
    """Saves the view of the sweep's points, unless it is saved already; returns the link that opens it, or a list."""
    from mlflow import __version__
    from mlflow.exceptions import MlflowException

    made = saved_view(
        view.identity,
        view.created,
        name=f"Frontier of {view.name}",
        points=[run for run in runs if run.kind == "point"],
    )
    as_list = filter_link(experiment, view.identity, view.created)
    if not __version__.startswith(f"{TESTED}.") or len(made.value) > LONGEST:
        return as_list
    if client.get_experiment(experiment).tags.get(made.tag) != made.value:
        try:
            client.set_experiment_tag(experiment, made.tag, made.value)
        except MlflowException:  # an older server bounds a tag's length otherwise
            return as_list
    return view_link(experiment, made.key)


def _register(writer: MirrorWriter, view: SweepView, runs: Sequence[RunPlan]) -> str:
    picked = next((run for run in runs if run.kind == "point" and run.tags["picked"] == "true"), None)
    if picked is None:
        raise MirrorError(
            f"no point of {view.name} is picked yet, so that there is none to register: none gains speciality within "
            "the budget of generality, or the sweep has none"
        )
    return f"{view.space_name} version {writer.register(picked, name=view.space_name)}, alias {ALIAS}"


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
        return str(client.create_experiment(name, artifact_location=location, tags={_KIND: _MODEL_TRAINING}))
    if found.lifecycle_stage != "active":
        raise MirrorError(
            f"the MLflow experiment {name} was deleted; restore it (mlflow experiments restore -x "
            f"{found.experiment_id}), then run `rayforget mirror`"
        )
    if _KIND not in found.tags:
        client.set_experiment_tag(found.experiment_id, _KIND, _MODEL_TRAINING)
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
