"""The choice of a precision, as theta_0's record notes it -> a sentence for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from rayforget.frontier.points import THETA_0
from rayforget.space.precision import CHOICE, FULL
from rayforget.values.brief import AnyCheckpoint


def precision_words(records: Iterable[AnyCheckpoint]) -> str | None:
    """What was chosen and why; None if nothing was to be chosen, or is not yet."""
    facts = next((record.facts for record in records if record.trial == THETA_0), {})
    choice: Mapping[str, Any] | None = facts.get(CHOICE)
    if choice is None:
        return None
    seconds, allowed = choice["seconds"], choice["allowed"]
    told = [f"{FULL} {seconds[FULL]:.3g} s"]
    for name, errors in choice["standard_errors"].items():
        moved = "not usable" if errors is None else f"off by up to {errors:.2g} standard errors"
        told.append(f"{name} {seconds[name]:.3g} s, {moved}")
    return (
        f"models are scored on val in {choice['precision']} (theta_1 on all of val: {'; '.join(told)}; at most "
        f"{allowed:g} is allowed)"
    )
