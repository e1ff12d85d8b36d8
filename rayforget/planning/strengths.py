"""Penalty strengths of a space -> warnings where a whole domain freezes the model, or does nothing."""

from collections.abc import Iterator

from rayforget.planning.counts import Counts, MethodCount, extremes, penalty_bounds
from rayforget.space.load import LoadedSpace
from rayforget.train.schedule import learning_rate_sum

_L1_FREEZES = 1.0
"""Adam moves a weight by about the learning rate, and so does the proximal step of this strength."""
_L1_IDLE = 1e-3
_L2_WIDTH = 100.0
"""Useful L2 strengths lie within this factor of 1 / (sum of the learning rates)."""


def strength_warnings(loaded: LoadedSpace, counts: Counts) -> tuple[str, ...]:
    """One line for each proximal penalty whose strengths lie outside what is useful; strength 0 is meant as none."""
    return tuple(
        f"methods.{counted.method.name}: {kind} strength {_range(low, high)} {text} ({_place(loaded, counted)})"
        for counted in counts.methods
        for kind, low, high in penalty_bounds(counted.method)
        if high > 0
        for text in _judge(counted, kind, low, high)
    )


def _judge(counted: MethodCount, kind: str, low: float, high: float) -> Iterator[str]:
    if kind == "l1":
        if low >= _L1_FREEZES:
            yield "freezes the model: a strength of 1 undoes Adam's steps; useful are 1e-3 to 1, log"
        elif high > _L1_FREEZES:
            yield "goes beyond 1, from where it freezes the model; useful are 1e-3 to 1, log"
        elif high < _L1_IDLE:
            yield "does next to nothing; useful are 1e-3 to 1, log"
    if kind == "l2":
        weakest, strongest = _useful_l2(counted)
        if low > strongest:
            yield f"leaves the model at theta_0; useful are {weakest:.1g} to {strongest:.1g}, log"
        elif high < weakest:
            yield f"does next to nothing; useful are {weakest:.1g} to {strongest:.1g}, log"


def _useful_l2(counted: MethodCount) -> tuple[float, float]:
    sums = [
        learning_rate_sum(learning_rate=rate, total_steps=steps, warmup_fraction=warmup)
        for rate, steps, warmup in zip(
            extremes(counted.method, "learning_rate"),
            counted.steps,
            reversed(extremes(counted.method, "warmup_fraction")),
            strict=True,
        )
    ]
    return 1 / (max(sums) * _L2_WIDTH), _L2_WIDTH / min(sums)


def _place(loaded: LoadedSpace, counted: MethodCount) -> str:
    name = counted.method.name
    return loaded.where(f"methods.{name}.penalties" if "penalties" in loaded.space.methods.get(name, {}) else "recipe")


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
