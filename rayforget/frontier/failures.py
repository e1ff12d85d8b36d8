"""Failed trainings -> what failed them, the most frequent first."""

from collections.abc import Iterable
from dataclasses import dataclass

from rayforget.values.brief import AnyCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Trainings that failed for the same reason."""

    reason: str
    """The first line of what was recorded."""
    trials: tuple[str, ...]
    """By name."""
    methods: tuple[str, ...]
    """Their methods, each once."""
    whole: str
    """All that was recorded of the first of them, with its traceback."""


def failures_of(records: Iterable[AnyCheckpoint]) -> tuple[Failure, ...]:
    """The failed trainings by the first line of their reason; what failed most comes first, then by name."""
    found: dict[str, dict[str, AnyCheckpoint]] = {}
    for record in records:
        if record.status == "failed":
            whole = (record.reason or "").strip() or "no reason recorded"
            found.setdefault(whole.split("\n", 1)[0], {})[record.trial] = record
    failures = [
        Failure(
            reason=reason,
            trials=tuple(sorted(of)),
            methods=tuple(sorted({str(record.recipe.get("method", "")) for record in of.values()})),
            whole=(of[min(of)].reason or "").strip(),
        )
        for reason, of in found.items()
    ]
    return tuple(sorted(failures, key=lambda failure: (-len(failure.trials), failure.trials)))
