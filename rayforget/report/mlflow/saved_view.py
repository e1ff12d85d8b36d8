"""The points of a sweep -> the link that opens them in MLflow as charts, without a click.

MLflow's page of an experiment restores what its own "save view" wrote: a tag of the experiment, named by a key that the
link repeats. Its form is not documented; `tests/report/test_mlflow_ui.py` opens it in a browser. With another version
of MLflow than the tested one, or where a server refuses the tag, the link opens the same points as a filtered list.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from rayforget.report.mlflow.mirror_names import sweep_filter
from rayforget.report.mlflow.mirror_plan import COMPARE_FILTER, RunPlan

TESTED = "3.17"
"""The version of MLflow whose page is known to restore such a view."""
TAG = "mlflow.sharedViewState."
LONGEST = 20_000
"""Letters of an experiment's tag."""
_MAX_PARAMS = 4
"""Axes of the parallel coordinates beside alpha and the scores; more cannot be read."""
_SECTION, _REST = "trade-off", "rest"
_TITLE = "Generality against speciality"
_X, _Y = "val/speciality", "val/generality"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """One sweep's view."""

    key: str
    """Names the view in its experiment."""
    value: str
    """The tag's value."""

    @property
    def tag(self) -> str:
        """The tag's name."""
        return TAG + self.key


def view_key(identity: str, created: float) -> str:
    """Twelve hex digits that name a sweep's view."""
    return hashlib.sha256(f"{identity}|{round(created)}".encode()).hexdigest()[:12]


def saved_view(identity: str, created: float, *, name: str, points: Sequence[RunPlan]) -> SavedView:
    """The view of a sweep's points: generality against speciality, beside the way from recipe and alpha to both.

    Args:
        identity: the sweep's (`SweepView`).
        created: its Unix time.
        name: what the page's list of views calls it.
        points: the plans of the points' runs.
    """
    state = json.dumps(_state(points_filter(identity, created), points), separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(state.encode(), 9)).decode()
    envelope = {"name": name, "createdAt": round(1000 * created), "state": f"deflate;{packed}"}
    return SavedView(key=view_key(identity, created), value=json.dumps(envelope))


def view_link(experiment: str, key: str) -> str:
    """The view's place below a server's address."""
    query = {"viewStateShareKey": key, "compareRunsMode": "CHART", "workflowType": "machine_learning"}
    return f"/#/experiments/{experiment}/runs?{urlencode(query)}"


def filter_link(experiment: str, identity: str, created: float) -> str:
    """The place of the same points as a list."""
    query = {"searchFilter": points_filter(identity, created), "workflowType": "machine_learning"}
    return f"/#/experiments/{experiment}/runs?{urlencode(query, quote_via=quote)}"


def points_filter(identity: str, created: float) -> str:
    """MLflow's filter for a sweep's points."""
    return f"{COMPARE_FILTER} and {sweep_filter(identity, created)}"


def params_to_show(points: Sequence[RunPlan]) -> list[str]:
    """The recipe's parameters that differ among the points and that every trained point has, the method first.

    A text that follows from the method, as the adapter's kind mostly does, tells nothing beside it. MLflow's parallel
    coordinates leave out a run that lacks one of the axes, or has text on an axis of numbers.
    """
    trained = [run.params for run in points if run.place != "baseline"]
    common = set.intersection(*(set(params) for params in trained)) if trained else set()
    common -= {"alpha", "step", "seed"}

    values = {name: {params[name] for params in trained} for name in common}
    telling = [name for name in common if len(values[name]) > 1 and len({_is_number(v) for v in values[name]}) == 1]
    telling = [n for n in telling if n == "method" or _is_number(min(values[n])) or not _follows_method(n, trained)]
    return sorted(telling, key=lambda name: (name != "method", name == "fraction", name))[:_MAX_PARAMS]


def _state(search_filter: str, points: Sequence[RunPlan]) -> Mapping[str, Any]:
    shown = [*params_to_show(points), "alpha"]
    test = [name for name in ("test/speciality", "test/generality") if any(name in _metrics(run) for run in points)]
    columns = [_column("metrics", name) for name in (_X, _Y, *test)]
    columns += [_column("params", name) for name in shown] + [_column("tags", name) for name in ("place", "trial")]
    return {
        "searchFilter": search_filter,
        "orderByKey": _column("tags", "place"),
        "orderByAsc": True,  # baselines, then the frontier
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "compareRunCharts": _charts(shown),
        "compareRunSections": _sections(points),
    }


def _charts(params: Sequence[str]) -> list[dict[str, Any]]:
    common = {"metricSectionId": _SECTION, "deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    axes = {"xaxis": {"key": _X, "type": "METRIC"}, "yaxis": {"key": _Y, "type": "METRIC"}}
    return [
        {**common, "uuid": "scatter", "type": "SCATTER", **axes},
        {
            **common, "uuid": "parallel", "type": "PARALLEL", "showAllRuns": False,
            "selectedParams": list(params), "selectedMetrics": [_X, _Y],
        },
    ]  # fmt: skip


def _sections(points: Sequence[RunPlan]) -> list[dict[str, Any]]:
    """The two charts' own section, and those of all other metrics, folded."""
    folded = sorted({name.rpartition("/")[0] for run in points for name in _metrics(run)} - {""})
    plain = {"isReordered": True, "deleted": False, "isGenerated": False}
    sections = [{"uuid": _SECTION, "name": _TITLE, "display": True, "columns": 2, **plain}]
    sections[0]["cardHeight"] = 480
    names = [*folded, "Model metrics", "System metrics"]
    return sections + [
        {"uuid": f"{_REST}-{i}", "name": name, "display": False, **plain} for i, name in enumerate(names)
    ]


def _metrics(run: RunPlan) -> set[str]:
    return {metric.name for metric in run.metrics}


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _follows_method(name: str, trained: Sequence[Mapping[str, str]]) -> bool:
    pairs = {(params["method"], params[name]) for params in trained}
    return len(pairs) == len({method for method, _ in pairs})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
