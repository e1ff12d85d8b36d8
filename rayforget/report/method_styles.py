"""Methods -> colours and markers that are the same in every drawing, and safe for most kinds of colour blindness."""

from collections.abc import Iterable
from dataclasses import dataclass

from rayforget.frontier.points import PLAIN, THETA_0

# Okabe & Ito's palette without black and yellow, then two of Paul Tol's; beside each the same hue for a dark ground
PALETTE = (
    ("#0072B2", "#4DA6E0"),
    ("#D55E00", "#F58B45"),
    ("#009E73", "#2FC49A"),
    ("#CC79A7", "#E3A3C5"),
    ("#56B4E9", "#9AD4F7"),
    ("#E69F00", "#F3BE4D"),
    ("#882255", "#C9709B"),
    ("#999933", "#C3C36B"),
)
# matplotlib's marker, plotly's symbol
# as many as colours, so that eight methods are told apart without any
_MARKERS = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("v", "triangle-down"),
    ("P", "cross"),
    ("<", "triangle-left"),
    (">", "triangle-right"),
)

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
    """#rrggbb, on a light ground."""
    name: str
    """The colour's name in a page's style: `c0`, `muted`, `ink`."""
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
        marker, symbol = _MARKERS[(i + i // len(PALETTE)) % len(_MARKERS)]
        place = i % len(PALETTE)
        looks[method] = Look(color=PALETTE[place][0], name=f"c{place}", marker=marker, symbol=symbol)
    looks[PLAIN] = Look(color=MUTED, name="muted", marker="X", symbol="x")
    looks[THETA_0] = Look(color=INK, name="ink", marker="*", symbol="star")
    return looks
