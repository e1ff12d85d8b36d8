"""Methods -> colours and markers that are the same in every drawing, and safe for most kinds of colour blindness."""

from collections.abc import Iterable
from dataclasses import dataclass

from rayforget.frontier.points import PLAIN, THETA_0

# Okabe & Ito's palette without black and yellow, then two of Paul Tol's
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#999933")
# matplotlib's marker, plotly's symbol
_MARKERS = (("o", "circle"), ("s", "square"), ("^", "triangle-up"), ("D", "diamond"), ("v", "triangle-down"))

INK = "#1b1f24"
MUTED = "#6b7280"
ALERT = "#b42318"
PAPER = "#ffffff"
SHADE = "#eef2f6"
RULE = "#d8dee4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a method is drawn."""

    color: str
    """#rrggbb."""
    marker: str
    """matplotlib's."""
    symbol: str
    """plotly's."""


def assign_looks(methods: Iterable[str]) -> dict[str, Look]:
    """One look per method, by the order of their names; plain fine-tuning is always grey.

    After eight methods colours repeat, with another marker.
    """
    looks = {}
    for i, method in enumerate(sorted(set(methods) - {PLAIN, THETA_0})):
        marker, symbol = _MARKERS[(i + i // len(_COLORS)) % len(_MARKERS)]
        looks[method] = Look(color=_COLORS[i % len(_COLORS)], marker=marker, symbol=symbol)
    looks[PLAIN] = Look(color=MUTED, marker="X", symbol="x")
    looks[THETA_0] = Look(color=INK, marker="*", symbol="star")
    return looks
