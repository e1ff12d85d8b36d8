"""The plans of a sweep's runs -> MLflow's client: what is not there is created, what differs is written again."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rayforget.report.mlflow.data_used import as_inputs
from rayforget.report.mlflow.logged_models import LoggedModels
from rayforget.report.mlflow.mirror_names import sweep_filter, sweep_tags
from rayforget.report.mlflow.mirror_plan import NOTE, RunPlan, SweepView

if TYPE_CHECKING:
    from mlflow import MlflowClient

_METRICS_PER_BATCH = 800
_PARAMS_PER_BATCH = 90
_KEY, _KIND, _DONE = (f"rayforget.{name}" for name in ("key", "kind", "mirrored"))
_PARENT = "mlflow.parentRunId"
_RUN_LINK = re.compile(r"\(run:([^)]*)\)")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one mirroring did."""

    run: str
    """The sweep's run id."""
    created: int
    """Number of new runs."""
    updated: int
    """Number of existing runs that differed."""
    unchanged: int
    superseded: int
    """Number of point runs that are not compared any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A run that MLflow holds."""

    tags: Mapping[str, str]
    name: str
    status: str

    def is_as(self, run: RunPlan) -> bool:
        """Whether it was completely written; the status comes last, where a run has ended."""
        return self.tags.get(_DONE) == run.digest and self.status == run.status


class MirrorWriter:
    """One mirroring: the client, and the run ids by key."""

    def __init__(self, client: "MlflowClient", experiment: str, view: SweepView, *, charts: str) -> None:
        """Writes nothing yet; `charts` is the address of the sweep's charts below the server's own."""
        self._client, self._experiment, self._charts = client, experiment, charts
        self._identity = sweep_tags(view.identity, view.created)
        self._where = sweep_filter(view.identity, view.created)
        self._ids: dict[str, str] = {}
        self._models = LoggedModels(client, experiment, self._identity)

    def write(self, runs: Sequence[RunPlan], *, keep_points: bool) -> Written:
        """Makes MLflow's runs match the plans, the sweep's first.

        Args:
            runs: parents before their children.
            keep_points: whether points that are not planned stay as they are.
        """
        found = self._existing()
        created = updated = superseded = 0
        for run in runs:
            before = found.get(run.key)
            if before is None:
                self._create(run)
                created += 1
            elif not before.is_as(run):
                self._update(run, before)
                updated += 1
        planned = {run.key for run in runs}
        for key, held in found.items():
            is_old = held.tags[_KIND] == "point" and key not in planned and held.tags.get("superseded") != "true"
            if is_old and not keep_points:
                self._tag(key, {"superseded": "true", _DONE: "superseded"})
                superseded += 1
        if not keep_points:
            self._models.supersede_all_but({run.key for run in runs if run.place == "frontier"})
        return Written(
            run=self._ids[runs[0].key],
            created=created,
            updated=updated,
            unchanged=len(runs) - created - updated,
            superseded=superseded,
        )

    def register(self, run: RunPlan, *, name: str) -> str:
        """Makes a written point the registry's `champion` of this name; returns the version."""
        return self._models.register(run, self._ids[run.key], name=name, note=self._tags(run)[NOTE])

    def _existing(self) -> dict[str, _Found]:
        """Key -> the sweep's run; records their ids."""
        found: dict[str, _Found] = {}
        token = None
        while True:
            page = self._client.search_runs([self._experiment], self._where, max_results=1000, page_token=token)
            for run in sorted(page, key=lambda run: str(run.info.run_id)):
                key = run.data.tags[_KEY]
                if key in found:
                    self._client.delete_run(run.info.run_id)
                    continue
                found[key] = _Found(tags=run.data.tags, name=run.info.run_name, status=run.info.status)
                self._ids[key] = run.info.run_id
            token = page.token
            if not token:
                return found

    def _create(self, run: RunPlan) -> None:
        """Writes a new run: its tags at once, and last the status of a run that has ended, or the tag of one that has
        not, which marks it complete."""
        tags = self._tags(run)
        done = {} if run.end_ms is not None else {_DONE: tags.pop(_DONE)}
        made = self._client.create_run(self._experiment, start_time=run.start_ms, tags=tags, run_name=run.name)
        self._ids[run.key] = made.info.run_id
        self._fill(run, tags=done)
        if not done:
            self._end(run)

    def _update(self, run: RunPlan, before: _Found) -> None:
        """Writes the whole run again, and last the tag that marks it complete."""
        tags = self._tags(run)
        if before.status == "FAILED" != run.status and NOTE in before.tags:
            tags.setdefault(NOTE, "")  # why the first try failed
        for name in before.tags.keys() - tags.keys():
            if name.startswith("facts."):
                self._client.delete_tag(self._ids[run.key], name)
        if before.name != run.name:
            self._client.update_run(self._ids[run.key], name=run.name)
        self._end(run)
        self._fill(run, tags=tags)

    def _tags(self, run: RunPlan) -> dict[str, str]:
        tags = {name: text.replace("(charts:)", f"({self._charts})") for name, text in run.tags.items()}
        tags = {name: _RUN_LINK.sub(self._link, text) for name, text in tags.items()}
        if run.parent is not None:
            tags[_PARENT] = self._ids[run.parent]
        return {**self._identity, _KEY: run.key, _KIND: run.kind, **tags, _DONE: run.digest}

    def _link(self, match: re.Match[str]) -> str:
        return f"(#/experiments/{self._experiment}/runs/{self._ids[match[1]]})"

    def _fill(self, run: RunPlan, *, tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run_id = self._ids[run.key]
        if run.artifacts:
            with tempfile.TemporaryDirectory() as folder:
                for name, data in run.artifacts.items():
                    Path(folder, name).write_bytes(data)
                self._client.log_artifacts(run_id, folder)
        if run.data:
            self._client.log_inputs(run_id, as_inputs(run.data))
        model = self._models.of_point(run, run_id) if run.place == "frontier" else None
        params = _batches([Param(name, value) for name, value in run.params.items()], _PARAMS_PER_BATCH)
        entries = [Metric(m.name, m.value, m.time_ms, m.step, model_id=model) for m in run.metrics]
        batches: list[tuple[list[Any], list[Any]]] = list(
            zip_longest(params, _batches(entries, _METRICS_PER_BATCH), fillvalue=[])
        )
        for some_params, some_metrics in batches[:-1]:
            self._client.log_batch(run_id, params=some_params, metrics=some_metrics)
        last = [RunTag(name, value) for name, value in tags.items()]
        self._client.log_batch(run_id, params=batches[-1][0], metrics=batches[-1][1], tags=last)  # tags go last

    def _end(self, run: RunPlan) -> None:
        if run.end_ms is None:
            self._client.update_run(self._ids[run.key], status=run.status)
        else:
            self._client.set_terminated(self._ids[run.key], run.status, run.end_ms)

    def _tag(self, key: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self._ids[key], tags=[RunTag(name, value) for name, value in tags.items()])


def _batches(entries: list[T], size: int) -> list[list[T]]:
    """Slices of at most `size`; at least one, possibly empty."""
    return [entries[start : start + size] for start in range(0, max(len(entries), 1), size)]
