"""What searched values did to both objectives -> importances as bars, and a small drawing of each value."""

from html import escape

from rayforget.frontier.recovered import Pair
from rayforget.report.web.axes import Axis, choice_axis, linear_axis, log_axis
from rayforget.report.web.html import Section, row, section, table
from rayforget.report.web.panel import Panel, Series, draw
from rayforget.report.words.numbers import percent, signed
from rayforget.search.effects import LEAST_TRAININGS, Effects, Slice
from rayforget.space.domains import ChoiceDomain

_NOTE = (
    "importance: a value's share in what sets the best tenth of a method's models apart from all of them (Optuna's "
    f"PED-ANOVA, at the α common to all trainings), for methods with at least {LEAST_TRAININGS} trainings"
)
_DOUBT = (
    "Shares of few trainings say little: below some fifty the order of the rows is a hint at most, and a share says "
    "how much, not in which direction. The drawings show each training's end (α = 1), its change from θ0 in points."
)


def effects_html(effects: tuple[Effects, ...], theta_0: Pair) -> Section | None:
    """One table of importances, and a row of drawings for each method; None if nothing was searched."""
    if not effects:
        return None
    parts = [_importances(effects), f'<p class="note">{_DOUBT}</p>', _KEY]
    for each in effects:
        count = f"{each.trainings} training{'' if each.trainings == 1 else 's'}"
        panels = "".join(f"<figure>{draw(_panel(each, place, theta_0))}</figure>" for place in range(len(each.slices)))
        parts.append(f"<h3>{escape(each.method)}<span>{count}</span></h3>")
        parts.append(f'<div class="panels">{panels}</div>')
    return section("values", "What each value did", *parts, note=_NOTE)


_KEY = (
    '<p class="note key-line"><svg class="key c0" viewBox="-6 -6 12 12" aria-hidden="true">'
    '<path d="M-4 0A4 4 0 1 1 4 0A4 4 0 1 1-4 0Z"/></svg>speciality '
    '<svg class="key c1" viewBox="-6 -6 12 12" aria-hidden="true"><path d="M0-4.7L4.5 3.4H-4.5Z"/></svg>generality</p>'
)


def _importances(effects: tuple[Effects, ...]) -> str:
    rows = []
    for each in effects:
        ranked = sorted(each.importances.items(), key=lambda item: -sum(item[1]))
        for place, (name, (special, general)) in enumerate(ranked):
            method = "" if place else escape(each.method)
            kind = "" if place else "first"
            rows.append(row([method, escape(name), _bar(special), _bar(general)], num_text=2, kind=kind, escaped=True))
    if not rows:
        most = max(each.trainings for each in effects)
        return f"<p>No method has enough trainings to weigh its values by: the most is {most}.</p>"
    head = (
        '<tr><th class="text" scope="col">method</th><th class="text" scope="col">value</th>'
        '<th class="text" scope="col">for speciality</th><th class="text" scope="col">for generality</th></tr>'
    )
    return table(head, rows, what="importances of searched values", kind="bars")


def _bar(share: float) -> str:
    return f'<span class="share">{percent(share, 0)} %</span><span class="bar" style="--share:{share:.3f}"></span>'


def _panel(effects: Effects, number: int, theta_0: Pair) -> Panel:
    """A value's drawing; all of a method's have one y axis, whose title the first one has."""
    one = effects.slices[number]
    moved = [(100 * (s - theta_0[0]), 100 * (g - theta_0[1])) for s, g in effects.ends]
    places = _places(one)
    series = tuple(
        Series(
            color=color,
            symbol=symbol,
            points=[
                (x, y[place], f"{one.name} {_shown(value)}: {word} {signed(y[place] / 100)}")
                for x, value, y in zip(places, one.values, moved, strict=True)
            ],
        )
        for place, (word, color, symbol) in enumerate(
            (("speciality", "c0", "circle"), ("generality", "c1", "triangle-up"))
        )
    )
    return Panel(
        x=_axis(one, places),
        y=linear_axis([value for pair in moved for value in pair], with_zero=True),
        x_title=one.name,
        y_title="" if number else "points from θ0",
        what=f"{effects.method}: speciality and generality by {one.name}",
        series=series,
    )


def _places(one: Slice) -> list[float]:
    if isinstance(one.domain, ChoiceDomain):
        return [float(one.domain.choice.index(value)) for value in one.values]
    return [float(value) for value in one.values if isinstance(value, int | float)]


def _axis(one: Slice, places: list[float]) -> Axis:
    if isinstance(one.domain, ChoiceDomain):
        return choice_axis(one.domain.choice)
    ends = [float(one.domain.low), float(one.domain.high), *places]
    return log_axis(ends) if one.domain.log else linear_axis(ends)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
