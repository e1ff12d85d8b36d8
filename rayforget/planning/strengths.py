"""Penalty strengths of a space -> warnings if a whole domain freezes the model, or does nothing."""

from rayforget.planning.counts import Counts, MethodCount, extremes, penalty_bounds
from rayforget.space.file.load import LoadedSpace
from rayforget.space.penalty import PenaltyConfig, Span, UsefulStrengths, given_by
from rayforget.train.schedule import learning_rate_sum


def strength_warnings(loaded: LoadedSpace, counts: Counts) -> tuple[str, ...]:
    """One line for each penalty whose strengths lie outside the useful range; strength 0 means no penalty."""
    return tuple(
        f"methods.{counted.method.name}: {penalty.kind} strength {_range(low, high)} {text} ({_place(loaded, counted)})"
        for counted in counts.methods
        for penalty, low, high in penalty_bounds(counted.method)
        if high > 0 and (text := _judge(_useful(penalty, _learning_rate_sums(counted)), low, high))
    )


def _useful(penalty: PenaltyConfig, sums: Span) -> UsefulStrengths | None:
    found = penalty.useful_strengths(sums)
    return None if found is None else given_by(penalty, "useful_strengths", found, UsefulStrengths)


def _judge(useful: UsefulStrengths | None, low: float, high: float) -> str | None:
    if useful is None:
        return None
    if low >= useful.high:
        found = useful.too_strong
    elif high > useful.high and useful.partly is not None:
        found = useful.partly
    elif high < useful.low:
        found = "does next to nothing"
    else:
        return None
    return f"{found}; strengths from {useful.low:.1g} to {useful.high:.1g} are useful, with log: true"


def _learning_rate_sums(counted: MethodCount) -> Span:
    low, high = (
        learning_rate_sum(learning_rate=rate, total_steps=steps, warmup_fraction=warmup)
        for rate, steps, warmup in zip(
            extremes(counted.method, "learning_rate"),
            counted.steps,
            reversed(extremes(counted.method, "warmup_fraction")),
            strict=True,
        )
    )
    return low, high


def _place(loaded: LoadedSpace, counted: MethodCount) -> str:
    name = counted.method.name
    return loaded.where(f"methods.{name}.penalties" if "penalties" in loaded.space.methods.get(name, {}) else "recipe")


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
