"""A summary -> plotly's figure: every point with its recipe and scores on hover, methods to switch on and off."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from rayforget.frontier.band import Band
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import INK, MUTED, PAPER, RULE, Look, assign_looks
from rayforget.report.png.drawn_area import frame_points
from rayforget.report.web.compact import compact_hovers
from rayforget.report.web.hover import Hovers, hover_mean, hover_measure, hover_title
from rayforget.report.web.theme import BAND, BOX
from rayforget.report.words.numbers import headline_pick, name_alpha, name_method
from rayforget.report.words.plain import baseline_label, mean_of_seeds

CLOUD = "cloud"
"""The `meta` of traces that may hold thousands of points, which a script draws."""
BAND_GROUP, TEST_GROUP, WALK_GROUP = ":band", ":test", ":walk"
"""What is switched on and off besides the methods, whose names these must not be."""
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
    _add_band(figure, summary.band, BAND_GROUP)
    _add_band(figure, summary.test_band, TEST_GROUP)
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
    clear = "rgba(0,0,0,0)"
    figure.update_layout(
        template="none",
        margin={"l": 58, "r": 12, "t": 34, "b": 46},  # its buttons stand above the drawn area, and hide nothing of it,
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        font={"family": "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif", "color": INK, "size": 13},
        hoverlabel={"align": "left", "bgcolor": PAPER, "bordercolor": RULE, "font": {"size": 12, "color": INK}},
        modebar={"bgcolor": clear, "color": MUTED, "activecolor": INK},
        showlegend=False,
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
        mode="none",  # `page_cloud.js` draws them
        hoveron="points",
        marker={"color": look.color, "symbol": look.symbol},
        legendgroup=method,
        meta=CLOUD,
        hovertemplate=_HOVER,
    )
    for curve in curves:
        figure.add_scatter(
            **_xy(curve),
            mode="lines",
            line={"color": look.color, "width": 1.3},
            opacity=0.8,
            legendgroup=method,
            hoverinfo="skip",
        )


def _add_frontier(figure: go.Figure, summary: Summary, looks: dict[str, Look], hovers: Hovers) -> None:
    points = [summary.points[i] for i in summary.frontier]
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
        name="frontier",
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
        legendgroup=TEST_GROUP,
        customdata=[hover_title(summary.points[i]) + "<br>" + hover_measure("test", summary.test[i]) for i in tested],
        hovertemplate=_HOVER,
    )


def _add_baselines(figure: go.Figure, summary: Summary, hovers: Hovers) -> None:
    baselines = [(summary.theta_0, "θ0, pretrained", "star", 16)]
    if summary.plain is not None:
        baselines.append((summary.plain, baseline_label(summary), "x", 12))
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
            marker={"symbol": symbol, "size": size, "color": INK, "line": {"color": PAPER, "width": 1}},
            name=name if one else f"{name}, {mean_of_seeds(summary)}",
            customdata=[hover],
            hovertemplate=_HOVER,
        )
        if not one:
            figure.add_scatter(
                **_xy([summary.points[i] for i in baseline.points]),
                mode="markers",
                marker={"symbol": "x-thin", "size": 7, "line": {"color": INK, "width": 1.2}},
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
            fillcolor=BOX,
            line={"color": MUTED, "width": 1, "dash": "dash"},
            name="box of the baselines",
            hoverinfo="skip",
        )


def _add_band(figure: go.Figure, band: Band | None, group: str) -> None:
    """The band as one area; it ends where the speciality is out of reach, and falls to the ground where it may be."""
    if band is None:
        return
    known = [
        (s, low, high) for s, low, high in zip(band.speciality, band.low, band.high, strict=True) if high > -np.inf
    ]
    ground = min((low for _, low, _ in known if low > -np.inf), default=0.0) - 1.0
    upper = [(s, high) for s, _, high in known]
    lower = [(s, low if low > -np.inf else ground) for s, low, _ in reversed(known)]
    figure.add_scatter(
        **_compact({"x": [100 * s for s, _ in (*upper, *lower)], "y": [100 * g for _, g in (*upper, *lower)]}),
        mode="lines",
        fill="toself",
        fillcolor=BAND,
        line={"width": 0},
        name="95 % band",
        legendgroup=group,
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
        ax=40,  # `page_labels.js` finds a place that hides no mark
        ay=-50,
        align="left",
        arrowcolor=INK,
        arrowwidth=1,
        arrowhead=0,
        standoff=6,
        bgcolor=PAPER,
        opacity=0.9,
    )


def _compact(values: Mapping[str, list[float]]) -> dict[str, Any]:
    """As arrays of float32, which plotly writes in base64: 11 bytes a point instead of 40."""
    return {name: np.array(each, dtype=np.float32) for name, each in values.items()}


def _xy(points: list[FrontierPoint]) -> dict[str, list[float]]:
    values = 100 * np.array([(point.speciality, point.generality) for point in points]).reshape(-1, 2)
    return {"x": values[:, 0].tolist(), "y": values[:, 1].tolist()}
