"""Marks and lines on two axes -> a small drawing as SVG, in the page's colours, light, dark and printed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from rayforget.report.web.axes import Axis
from rayforget.report.web.marks import SHAPES

WIDTH, HEIGHT = 320, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 26, 38
_MOST_MARKS = 150
"""Marks of a series; of more, evenly spread ones are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Marks of one kind."""

    color: str
    """The name of one of the page's colours."""
    symbol: str
    """plotly's name of a mark."""
    points: Sequence[tuple[float, float, str]]
    """(x, y, what it is)."""
    open: bool = False
    """Whether only the outline is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points, or one line per pair of points."""

    color: str
    points: Sequence[tuple[float, float]]
    steps: bool = False
    """Whether it stays level up to each next point."""
    dashed: bool = False
    pairs: bool = False
    """Whether points 0 and 1, 2 and 3, ... are joined and no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A drawing."""

    x: Axis
    y: Axis
    x_title: str
    y_title: str
    what: str
    """Names it to those who hear."""
    series: Sequence[Series] = ()
    lines: Sequence[Line] = field(default=())


def draw(panel: Panel) -> str:
    """The SVG; it scales with the room that it is given."""
    parts = [*_frame(panel)]
    parts += [_line(panel, line) for line in panel.lines if line.points]
    parts += [_mark(panel, each, point) for each in panel.series for point in _thinned(each.points)]
    return (
        f'<svg class="panel" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(panel.what)}">'
        f"{''.join(parts)}</svg>"
    )


def _thinned(points: Sequence[tuple[float, float, str]]) -> Sequence[tuple[float, float, str]]:
    return points[:: -(-len(points) // _MOST_MARKS)] if points else points


def _across(panel: Panel, value: float) -> float:
    return round(_LEFT + panel.x.place(value) * (WIDTH - _LEFT - _RIGHT), 1)


def _up(panel: Panel, value: float) -> float:
    return round(HEIGHT - _BOTTOM - panel.y.place(value) * (HEIGHT - _TOP - _BOTTOM), 1)


def _frame(panel: Panel) -> list[str]:
    """Grid, ticks and titles; the y title stands above its axis, to be read without turning one's head."""
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for value, label in panel.y.ticks:
        y = _up(panel, value)
        kind = "zero" if value == 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{_LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 3.5}" text-anchor="end">{escape(label)}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{right}"/>')
    for value, label in panel.x.ticks:
        x = _across(panel, value)
        parts.append(f'<path class="axis" d="M{x} {bottom}v4"/>')
        parts.append(f'<text x="{x}" y="{bottom + 15}" text-anchor="middle">{escape(label)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(panel.x_title)}</text>'
    )
    parts.append(f'<text class="title" x="0" y="11">{escape(panel.y_title)}</text>')
    return parts


def _line(panel: Panel, line: Line) -> str:
    places = [(_across(panel, x), _up(panel, y)) for x, y in line.points]
    words = [f"M{places[0][0]} {places[0][1]}"]
    for number, (x, y) in enumerate(places[1:], start=1):
        if line.pairs and number % 2 == 0:
            words.append(f"M{x} {y}")
        else:
            words.append(f"H{x}V{y}" if line.steps else f"L{x} {y}")
    dashes = " dashed" if line.dashed else ""
    return f'<path class="line {line.color}{dashes}" d="{"".join(words)}"/>'


def _mark(panel: Panel, series: Series, point: tuple[float, float, str]) -> str:
    x, y, what = point
    kind = f"{series.color} open" if series.open else series.color
    return (
        f'<path class="{kind}" d="{SHAPES[series.symbol]}" transform="translate({_across(panel, x)} {_up(panel, y)})">'
        f"<title>{escape(what)}</title></path>"
    )
