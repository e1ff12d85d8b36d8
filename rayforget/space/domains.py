"""Domains: the values that a search may choose from, as the space file writes them; bounds are inclusive."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from rayforget.space.frozen import Frozen, Problem

Scalar = bool | int | float | str | None


def _bound_problems(low: float, high: float, log: bool, step: float | None) -> Iterable[Problem]:
    if low > high:
        yield Problem(at=("low",), text=f"low is {low} and high is {high}; low must not be above high: swap them")
    elif log and step is not None:
        text = f"found step {step} with log: true; a log domain has no steps: remove one of them"
        yield Problem(at=("step",), text=text)
    elif step is not None and (misfit := _step_problem(low, high, step)):
        yield Problem(at=("step",), text=misfit)
    if log and low <= 0:
        yield Problem(at=("low",), text=f"found {low} with log: true; a log domain starts above 0: raise low")


def _step_problem(low: float, high: float, step: float) -> str | None:
    try:
        rest = (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step))
    except InvalidOperation:  # more steps than decimals have digits for
        return f"found {step}, too small a step from {low} to {high}; write a larger one, or remove it"
    return f"steps of {step} from {low} never reach high: {high}; choose a high that they reach" if rest else None


class FloatDomain(Frozen):
    """Numbers from `low` to `high`, both included."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Drawn evenly in the logarithm: for values that span orders of magnitude."""
    step: PositiveFloat | None = None
    """Only low, low + step, low + 2 step, ..., high."""

    def problems(self) -> Iterable[Problem]:
        """Bounds that hold nothing."""
        return _bound_problems(self.low, self.high, self.log, self.step)

    def contains(self, value: Scalar) -> bool:
        """Whether a search may choose this value (steps are not looked at: they are not exact in floats)."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class IntDomain(Frozen):
    """Whole numbers from `low` to `high`, both included."""

    low: int
    """Smallest value."""
    high: int
    """Largest value."""
    log: bool = False
    """Drawn evenly in the logarithm: for values that span orders of magnitude."""
    step: PositiveInt | None = None
    """Only low, low + step, low + 2 step, ..., high; null is every whole number."""

    def problems(self) -> Iterable[Problem]:
        """Bounds that hold nothing."""
        return _bound_problems(self.low, self.high, self.log, self.step)

    def contains(self, value: Scalar) -> bool:
        """Whether a search may choose this value."""
        return isinstance(value, int) and not isinstance(value, bool) and value in self.values()

    def values(self) -> Sequence[int]:
        """Everything that a search may choose, ascending."""
        return range(self.low, self.high + 1, self.step or 1)


class ChoiceDomain(Frozen):
    """One of the values listed."""

    choice: Annotated[tuple[Scalar, ...], Field(min_length=1)]
    """The values, each once."""

    def problems(self) -> Iterable[Problem]:
        """Values listed twice."""
        for index, value in enumerate(self.choice):
            if value in self.choice[:index]:
                yield Problem(at=("choice", index), text=f"{value!r} is listed twice; a choice holds each value once")

    def contains(self, value: Scalar) -> bool:
        """Whether a search may choose this value."""
        return value in self.choice

    def values(self) -> Sequence[Scalar]:
        """Everything that a search may choose, as listed."""
        return self.choice


Domain = FloatDomain | IntDomain | ChoiceDomain
