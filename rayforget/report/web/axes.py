"""Values -> an axis of a small drawing: its limits and its few round ticks."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MARGIN = 0.06
_LEAST_DECADES = 0.42
"""The shortest logarithmic axis: a factor of 2.6, which always holds one of 1, 2 and 5 times a power of ten."""
_LEAST_IN_DIGITS = 0.01
_POWER = re.compile(r"\.?0*e([-+]?)0*")
"""What `1.500000e-05` has and `1.5e-5` lacks."""
_MOST_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis; values are placed in [0, 1]."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    """(value, label)."""
    log: bool = False

    def place(self, value: float) -> float:
        """Where the value lies: 0 at `low`, 1 at `high`; cut off at both."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return min(max((value - low) / (high - low), 0.0), 1.0)


def linear_axis(values: Iterable[float], *, with_zero: bool = False) -> Axis:
    """An axis that holds the values, with ticks at multiples of 1, 2 or 5 times a power of ten."""
    known = [*values, *([0.0] if with_zero else [])] or [0.0]
    low, high = min(known), max(known)
    extent = (high - low) or abs(high) or 1.0
    low, high = low - _MARGIN * extent, high + _MARGIN * extent
    step = _round_step((high - low) / _MOST_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(low=low, high=high, ticks=tuple((i * step, _label(i * step)) for i in range(first, last + 1)))


def log_axis(values: Iterable[float]) -> Axis:
    """A logarithmic axis that holds the positive values; ticks at powers of ten, or at 1, 2 and 5 times these."""
    known = [value for value in values if value > 0] or [1.0]
    decades = math.log10(max(known) / min(known))
    widened = 10 ** max(_MARGIN * decades, _LEAST_DECADES / 2)
    low, high = min(known) / widened, max(known) * widened
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(ticks) < 2:
        ticks = [by * 10.0**power for power in powers for by in (1, 2, 5) if low <= by * 10.0**power <= high]
    stride = -(-len(ticks) // _MOST_TICKS)
    labels = tuple((tick, _label(tick, least=_LEAST_IN_DIGITS)) for tick in ticks[::stride])
    return Axis(low=low, high=high, ticks=labels, log=True)


def choice_axis(choices: Sequence[object]) -> Axis:
    """One place for each choice, the first at 0, the next at 1, and so on."""
    ticks = tuple((float(place), str(choice)) for place, choice in enumerate(choices))
    return Axis(low=-0.5, high=len(choices) - 0.5, ticks=ticks)


def _round_step(least: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(by * power for by in (1, 2, 5, 10) if by * power >= least * (1 - 1e-9))


def _label(value: float, *, least: float = 1e-4) -> str:
    """`2.5`, `−10`, `1e−5`: digits from `least` on."""
    text = f"{value:.10g}" if not value or least <= abs(value) < 1e6 else _POWER.sub(r"e\1", f"{value:e}")
    return text.replace("-", "−")
