"""A summary -> a picture of the trade-off: every point, the frontier with its errors, and the baselines."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rayforget.frontier.points import THETA_0
from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import ALERT, INK, MUTED, RULE, SHADE, Look, assign_looks
from rayforget.report.png.drawn_area import Frame, frame_points
from rayforget.report.words.numbers import format_area, format_recovered, headline_pick, name_alpha, name_method
from rayforget.report.words.plain import baseline_label, mean_of_seeds
from rayforget.space.path_text import LERP

_SIZE_IN = (9.0, 5.8)
_DPI = 160
_DASHES = (0, (4, 3))
_PAPER: dict[str, Any] = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
"""Background of text that may cross lines."""
_PICKED_WIDTH = 0.37
"""Width of the picked point's label, as a share of the frame's."""
_LEGEND: dict[str, Any] = {"loc": "upper left", "frameon": False, "fontsize": 9}


def draw_frontier(summary: Summary, path: Path, *, this: int | None = None) -> None:
    """Writes a PNG of 1440 x 928 pixels; values are in percent on `val`, on which points were chosen.

    Far-away points are left out of the frame and counted in a note.

    Args:
        summary: the report.
        path: of the file.
        this: place in `summary.points` of the one point to mark; None marks the one to pick.
    """
    frontier_figure(summary, this=this).savefig(path, format="png")


class FrontierFigure(Figure):
    """A figure that notebooks show, whatever drawing they are set up for."""

    def _repr_png_(self) -> bytes:
        data = BytesIO()
        self.savefig(data, format="png")
        return data.getvalue()


def frontier_figure(summary: Summary, *, this: int | None = None) -> FrontierFigure:
    """The picture as matplotlib's figure of 1440 x 928 pixels, which belongs to no window; `this` as above."""
    with rc_context({"text.parse_math": False}):  # a $ in a name is a $
        return _draw(summary, this)


def _draw(summary: Summary, this: int | None) -> FrontierFigure:
    figure = FrontierFigure(figsize=_SIZE_IN, dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0.075, 0.105, 0.69, 0.74))
    looks = assign_looks(point.method for point in summary.points)
    frame = frame_points(summary, this)
    _draw_ground(axes, summary, frame)
    _draw_points(axes, summary, looks)
    _draw_frontier(axes, summary, looks, frame)
    _draw_baselines(axes, summary, looks)
    _draw_marked(axes, summary, frame, this)
    _finish_axes(axes, frame)
    _draw_words(figure, axes, summary, looks)
    return figure


def _draw_ground(axes: Axes, summary: Summary, frame: Frame) -> None:
    """The dominated area above the reference, and the box in which it is measured."""
    if summary.plain is None:
        return
    (left, top), (right, bottom) = summary.theta_0.val.pair, summary.plain.val.pair
    values = np.array([summary.points[i].speciality for i in summary.frontier])
    heights = np.array([summary.points[i].generality for i in summary.frontier])
    above = (values > left) & (heights > bottom)
    xs, ys = np.concatenate(([left], values[above])), np.concatenate((heights[above][:1], heights[above]))
    if above.any():
        axes.fill_between(100 * xs, 100 * ys, 100 * bottom, step="pre", color=SHADE, linewidth=0, zorder=0)
    if right > left and top > bottom:
        corner, width, height = (100 * left, 100 * bottom), 100 * (right - left), 100 * (top - bottom)
        axes.add_patch(Rectangle(corner, width, height, fill=False, ls=_DASHES, lw=1, ec=MUTED, zorder=1))


def _draw_points(axes: Axes, summary: Summary, looks: dict[str, Look]) -> None:
    for method in _methods(summary):
        pairs = [(p.speciality, p.generality) for p in summary.points if p.method == method and p.alpha != 0]
        xs, ys = 100 * np.array(pairs).reshape(-1, 2).T
        axes.scatter(xs, ys, s=9, color=looks[method].color, alpha=0.28, linewidth=0, zorder=2)


def _draw_frontier(axes: Axes, summary: Summary, looks: dict[str, Look], frame: Frame) -> None:
    for curve in summary.frontier_curves:
        if len(curve) == 1 and curve[0].path != LERP:
            continue  # spots of an inner search: nothing between them and theta_0 was scored
        start = [] if any(point.alpha == 0 for point in curve) or curve[0].alpha < 0 else [summary.theta_0.val.pair]
        xs, ys = 100 * np.array([*start, *((point.speciality, point.generality) for point in curve)]).T
        axes.plot(xs, ys, color=looks[curve[0].method].color, lw=1, alpha=0.75, zorder=3)
    values = 100 * np.array([(summary.points[i].speciality, summary.points[i].generality) for i in summary.frontier])
    xs, ys = values.T
    left, bottom = frame.left, frame.bottom
    if summary.plain is not None:
        left, bottom = 100 * summary.theta_0.val.speciality, 100 * summary.plain.val.generality
    steps_x = np.concatenate(([min(left, xs[0])], xs, xs[-1:]))
    steps_y = np.concatenate((ys[:1], ys, [min(bottom, ys[-1])]))
    axes.step(steps_x, steps_y, where="pre", color=INK, lw=1.4, alpha=0.85, zorder=4)
    for i, (x, y) in zip(summary.frontier, values, strict=True):
        measure = summary.val[i]
        if measure.speciality_error is not None and measure.generality_error is not None:
            _draw_errors(axes, (x, y), (100 * measure.speciality_error, 100 * measure.generality_error))
        look = looks[summary.points[i].method]
        size = 70 if look.marker == "*" else 38
        axes.scatter(x, y, s=size, marker=look.marker, color=look.color, edgecolor=INK, linewidth=0.8, zorder=5)


def _draw_errors(axes: Axes, where: tuple[float, float], errors: tuple[float, float]) -> None:
    (x, y), (across, up) = where, errors
    axes.errorbar(x, y, xerr=across, yerr=up, fmt="none", ecolor=INK, elinewidth=0.7, alpha=0.28, zorder=3)


def _draw_baselines(axes: Axes, summary: Summary, looks: dict[str, Look]) -> None:
    x, y = (100 * value for value in summary.theta_0.val.pair)
    axes.scatter(x, y, s=190, marker=looks[THETA_0].marker, color=INK, edgecolor="white", linewidth=1, zorder=7)
    _label(axes, "θ0, pretrained", (x, y), (-4, -10), "left")
    if summary.plain is None:
        return
    for i in summary.plain.points:
        point = summary.points[i]
        where = (100 * point.speciality, 100 * point.generality)
        axes.scatter(*where, s=28, marker="x", color=INK, linewidth=1, alpha=0.6, zorder=6)
    x, y = (100 * value for value in summary.plain.val.pair)
    axes.scatter(x, y, s=110, marker="X", color=INK, edgecolor="white", linewidth=1, zorder=7)
    several = len(summary.plain.points) > 1
    name = baseline_label(summary) + (f"\n({mean_of_seeds(summary)})" if several else "")
    _label(axes, name, (x, y), (0, -12), "center")


def _draw_marked(axes: Axes, summary: Summary, frame: Frame, this: int | None) -> None:
    what = "this model"
    if this is None:
        picked = headline_pick(summary)
        if picked is None:
            return
        this, what = picked.index, "best for at most 1 point of generality"
    point = summary.points[this]
    where = (100 * point.speciality, 100 * point.generality)
    axes.scatter(*where, s=150, facecolor="none", edgecolor=INK, linewidth=1.2, zorder=6)
    text = f"{what}:\n{name_method(point.method)}, {name_alpha(point)}"
    # The space above a frontier is free; the text ends inside the frame, wherever the point is.
    across = min((where[0] - frame.left) / (frame.right - frame.left) + 0.03, 1 - _PICKED_WIDTH)
    beneath = [_highest(summary, i, frame) for i in summary.frontier if _is_below(summary, i, frame, across)]
    up = min(max([(where[1] - frame.bottom) / (frame.top - frame.bottom), *beneath]) + 0.04, 0.92)
    axes.annotate(
        text, where, xytext=(across, up), textcoords="axes fraction", fontsize=8.5, color=INK, va="bottom",
        bbox=_PAPER, arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.8, "shrinkB": 7}, zorder=8,
    )  # fmt: skip


def _is_below(summary: Summary, index: int, frame: Frame, across: float) -> bool:
    """Whether a point is below a text that begins at `across`, a share of the frame's width."""
    place = (100 * summary.points[index].speciality - frame.left) / (frame.right - frame.left)
    return across - 0.02 <= place <= across + _PICKED_WIDTH


def _highest(summary: Summary, index: int, frame: Frame) -> float:
    """The upper end of a point's error bar, as a share of the frame's height."""
    error = summary.val[index].generality_error or 0.0
    return (100 * (summary.points[index].generality + error) - frame.bottom) / (frame.top - frame.bottom)


def _label(
    axes: Axes, text: str, where: tuple[float, float], shift: tuple[float, float], align: Literal["left", "center"]
) -> None:
    axes.annotate(
        text,
        where,
        xytext=shift,
        textcoords="offset points",
        fontsize=8.5,
        color=INK,
        ha=align,
        va="top",
        bbox=_PAPER,
        zorder=8,
    )


def _finish_axes(axes: Axes, frame: Frame) -> None:
    axes.set_xlim(frame.left, frame.right)
    axes.set_ylim(frame.bottom, frame.top)
    axes.set_xlabel("speciality, % on val   →  better", fontsize=10, color=INK)
    axes.set_ylabel("generality, % on val   →  better", fontsize=10, color=INK)
    axes.tick_params(labelsize=9, color=RULE, labelcolor=INK)
    axes.grid(color=RULE, lw=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    if frame.outside:
        note = f"outside the frame: {_count(frame.outside, 'point')}"
        axes.text(1, 1.01, note, transform=axes.transAxes, ha="right", va="bottom", fontsize=7.5, color=MUTED)


def _draw_words(figure: Figure, axes: Axes, summary: Summary, looks: dict[str, Look]) -> None:
    counts = f"{_count(summary.together.trainings, 'training')}, {_count(len(summary.points), 'point')}"
    figure.text(0.075, 0.945, f"{summary.name}: speciality against generality", fontsize=13, weight="bold", color=INK)
    figure.text(0.075, 0.9, f"{counts}.  {_recovered_words(summary)}", fontsize=10, color=INK)
    if summary.notice is not None:
        figure.text(0.075, 0.868, summary.notice, fontsize=8.5, weight="bold", color=ALERT)
    marks = [
        Line2D([], [], ls="", marker=looks[m].marker, color=looks[m].color, mec=INK, mew=0.6, ms=7, label=_short(m))
        for m in _methods(summary)
    ]
    if marks:
        methods = axes.legend(handles=marks, title="method", bbox_to_anchor=(1.02, 1), alignment="left", **_LEGEND)
        axes.add_artist(methods)
    lines: list[Line2D | Rectangle] = [
        Line2D([], [], color=INK, lw=1.4, label="frontier, ± one\nstandard error"),
        Line2D([], [], color=MUTED, lw=1, label="α curves of the\nfrontier's trainings"),
        Line2D([], [], ls="", marker="o", color=MUTED, alpha=0.4, ms=4, label="every other point"),
    ]
    if summary.plain is not None:
        lines += [
            Rectangle((0, 0), 1, 1, fc=SHADE, ec="none", label="dominated area"),
            Line2D([], [], color=MUTED, lw=1, ls=_DASHES, label="box of the baselines;\nrecovered = area / box"),
        ]
    axes.legend(
        handles=lines,
        bbox_to_anchor=(1.02, -0.12 if len(marks) > 9 else 0),
        **{**_LEGEND, "loc": "lower left", "fontsize": 8.5},
    )


def _recovered_words(summary: Summary) -> str:
    found = summary.recovery.test or summary.recovery.val
    if found is None:
        return (
            f"Plain fine-tuning {'has not succeeded' if summary.plain_failed is not None else 'is not measured yet'}."
        )
    where = "test" if summary.split == "test" else "val (optimistic)"
    if found.value is None:
        return f"Recovered is undefined; the hypervolume is {format_area(found.hypervolume)} on {where}."
    interval = ", 95 % interval" if summary.recovery.interval else ""
    # The axes show val, so the area over the box must be val's.
    drawn = summary.recovery.val if summary.split == "test" else None
    beside = (
        "" if drawn is None or drawn.value is None else f"; on val, as drawn, {format_recovered(drawn)} (optimistic)"
    )
    return f"Recovered {format_recovered(found, summary.recovery.interval)} on {where}{interval}{beside}."


def _methods(summary: Summary) -> Sequence[str]:
    return [method.method for method in summary.methods if method.trainings]


def _short(method: str) -> str:
    """A name short enough to fit beside the picture."""
    name = name_method(method)
    return name if len(name) <= 20 else f"{name[:11]}…{name[-8:]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
