"""A summary -> plotly's figure: every point with its recipe and scores on hover, methods to switch on and off."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import INK, MUTED, RULE, SHADE, Look, assign_looks
from rayforget.report.png.drawn_area import frame_points
from rayforget.report.web.compact import compact_hovers
from rayforget.report.web.hover import Hovers, hover_mean, hover_measure, hover_title
from rayforget.report.words.numbers import headline_pick, name_alpha, name_method
from rayforget.report.words.plain import mean_of_seeds

_HOVER = "%{customdata}<extra></extra>"


def build_chart(summary: Summary) -> tuple[go.Figure, dict[str, Any]]:
    """Speciality across, generality up, both in percent of `val`; and the methods' points' descriptions, compact."""
    figure = go.Figure()
    looks = assign_looks(point.method for point in summary.points)
    hovers = Hovers(summary)
    curves, points = dict[str, list[list[FrontierPoint]]](), dict[str, list[int]]()
    for curve in summary.frontier_curves:
        curves.setdefault(curve[0].method, []).append(curve)
    for i, point in enumerate(summary.points):
        if point.alpha != 0:
            points.setdefault(point.method, []).append(i)
    _add_box(figure, summary)
    traces = {}
    for method in (method.method for method in summary.methods if method.trainings):
        traces[len(figure.data)] = points.get(method, [])
        _add_method(figure, summary, method, looks[method], points.get(method, []), curves.get(method, []))
    _add_frontier(figure, summary, looks, hovers)
    _add_tested(figure, summary)
    _add_baselines(figure, summary, hovers)
    _add_picked(figure, summary)
    frame = frame_points(summary)
    axis: dict[str, Any] = {"gridcolor": RULE, "zeroline": False, "ticksuffix": " %", "linecolor": RULE}
    figure.update_layout(
        template="none",
        height=620,
        margin={"l": 70, "r": 10, "t": 36, "b": 60},
        font={"family": "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif", "color": INK, "size": 13},
        hoverlabel={"align": "left", "bgcolor": "white", "font": {"size": 12, "color": INK}},
        legend={"groupclick": "togglegroup", "title": {"text": "method"}},
        xaxis={**axis, "title": "speciality (val)", "range": [frame.left, frame.right]},
        yaxis={**axis, "title": "generality (val)", "range": [frame.bottom, frame.top]},
    )
    return figure, compact_hovers(summary, hovers, traces)


def _add_method(
    figure: go.Figure,
    summary: Summary,
    method: str,
    look: Look,
    mine: Sequence[int],
    curves: Sequence[list[FrontierPoint]],
) -> None:
    """All points of a method, without descriptions; the curves of its trainings that are on the frontier."""
    figure.add_scatter(
        **_compact(_xy([summary.points[i] for i in mine])),
        mode="markers",
        marker={"color": look.color, "size": 6, "opacity": 0.45},
        legendgroup=method,
        showlegend=False,
        hovertemplate=_HOVER,
    )
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"color": look.color, "symbol": look.symbol, "size": 10, "line": {"color": INK, "width": 1}},
        name=escape(name_method(method)),
        legendgroup=method,
    )
    for curve in curves:
        figure.add_scatter(
            **_xy(curve),
            mode="lines",
            line={"color": look.color, "width": 1.3},
            opacity=0.8,
            legendgroup=method,
            showlegend=False,
            hoverinfo="skip",
        )


def _add_frontier(figure: go.Figure, summary: Summary, looks: dict[str, Look], hovers: Hovers) -> None:
    points = [summary.points[i] for i in summary.frontier]
    measures = [summary.val[i] for i in summary.frontier]
    figure.add_scatter(
        **_xy(points),
        mode="lines+markers",
        line={"color": INK, "width": 1.6, "shape": "vh"},
        marker={
            "color": [looks[point.method].color for point in points],
            "symbol": [looks[point.method].symbol for point in points],
            "size": 10,
            "line": {"color": INK, "width": 1},
        },
        error_x=_errors([measure.speciality_error for measure in measures]),
        error_y=_errors([measure.generality_error for measure in measures]),
        name="frontier, ± 1 se",
        customdata=[hovers.text(i) for i in summary.frontier],
        hovertemplate=_HOVER,
    )


def _add_tested(figure: go.Figure, summary: Summary) -> None:
    """The frontier's points as scored on `test`; hidden until asked for."""
    tested = [i for i in summary.frontier if i in summary.test]
    if not tested:
        return
    figure.add_scatter(
        x=[100 * summary.test[i].speciality for i in tested],
        y=[100 * summary.test[i].generality for i in tested],
        mode="markers",
        marker={"symbol": "circle-open", "size": 10, "color": INK},
        name="frontier on test",
        visible="legendonly",
        customdata=[hover_title(summary.points[i]) + "<br>" + hover_measure("test", summary.test[i]) for i in tested],
        hovertemplate=_HOVER,
    )


def _add_baselines(figure: go.Figure, summary: Summary, hovers: Hovers) -> None:
    baselines = [(summary.theta_0, "θ0, pretrained", "star", 16)]
    if summary.plain is not None:
        baselines.append((summary.plain, "plain fine-tuning", "x", 12))
    for baseline, name, symbol, size in baselines:
        one = len(baseline.points) == 1
        hover = (
            hovers.text(baseline.points[0])
            if one
            else hover_mean(f"{name}, {mean_of_seeds(summary)}", baseline.val, baseline.test)
        )
        figure.add_scatter(
            x=[100 * baseline.val.speciality],
            y=[100 * baseline.val.generality],
            mode="markers+text",
            text=[name],
            textposition="bottom right",
            marker={"symbol": symbol, "size": size, "color": INK, "line": {"color": "white", "width": 1}},
            name=name if one else f"{name}, {mean_of_seeds(summary)}",
            customdata=[hover],
            hovertemplate=_HOVER,
        )
        if not one:
            figure.add_scatter(
                **_xy([summary.points[i] for i in baseline.points]),
                mode="markers",
                marker={"symbol": "x-thin", "size": 7, "line": {"color": INK, "width": 1.2}},
                showlegend=False,
                customdata=[hovers.text(i) for i in baseline.points],
                hovertemplate=_HOVER,
            )


def _add_box(figure: go.Figure, summary: Summary) -> None:
    """The baselines' box, in which recovered is measured."""
    if summary.plain is None:
        return
    (left, top), (right, bottom) = summary.theta_0.val.pair, summary.plain.val.pair
    if right > left and top > bottom:
        figure.add_scatter(
            x=[100 * x for x in (left, right, right, left, left)],
            y=[100 * y for y in (bottom, bottom, top, top, bottom)],
            mode="lines",
            fill="toself",
            fillcolor=SHADE,
            line={"color": MUTED, "width": 1, "dash": "dash"},
            name="box of the baselines",
            legendrank=2000,
            hoverinfo="skip",
        )


def _add_picked(figure: go.Figure, summary: Summary) -> None:
    picked = headline_pick(summary)
    if picked is None:
        return
    point = summary.points[picked.index]
    figure.add_annotation(
        x=100 * point.speciality,
        y=100 * point.generality,
        text="best for at most 1 point of generality:<br>"
        + escape(f"{name_method(point.method)}, {name_alpha(point)}"),
        ax=40,
        ay=-50,
        align="left",
        arrowcolor=INK,
        arrowwidth=1,
        arrowhead=0,
        standoff=6,
        bgcolor="rgba(255,255,255,0.8)",
    )


def _errors(values: list[float | None]) -> dict[str, Any]:
    known = [100 * value for value in values if value is not None]
    return {
        "array": known,
        "visible": len(known) == len(values),
        "color": "rgba(27,31,36,0.3)",
        "thickness": 1,
        "width": 0,
    }


def _compact(values: Mapping[str, list[float]]) -> dict[str, Any]:
    """As arrays of float32, which plotly writes in base64: 11 bytes a point instead of 40."""
    return {name: np.array(each, dtype=np.float32) for name, each in values.items()}


def _xy(points: list[FrontierPoint]) -> dict[str, list[float]]:
    values = 100 * np.array([(point.speciality, point.generality) for point in points]).reshape(-1, 2)
    return {"x": values[:, 0].tolist(), "y": values[:, 1].tolist()}
