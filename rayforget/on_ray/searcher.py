"""Tune's view of the agenda: asks it for the next job, and brings back what became of one.

A `Searcher` of our own rather than a subclass of Ray's `OptunaSearch`: that one cannot hand out baselines or test
jobs, tells [None, None] for a failed trial (which leaves it RUNNING in Optuna), and refuses pairs of values and
added points in define-by-run spaces; every one of its methods would be replaced. Optuna itself is asked and told by
`rayforget.search.study`.
"""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from rayforget.on_ray.trainable import OBJECTIVES
from rayforget.search.agenda import Agenda, NamedJob, Next

Done = Callable[[NamedJob, dict[str, Any] | None], None]
"""Called with a job and its result; None where Tune lost the trial."""

_AGENDAS: dict[int, tuple[Agenda, Done]] = {}


class AgendaSearcher(Searcher):
    """Lives in the driver. Tune copies and pickles searchers; every copy speaks for the same agenda."""

    def __init__(self, agenda: Agenda, done: Done) -> None:
        # Several objectives come as lists, whatever Searcher's annotations say.
        super().__init__(metric=list(OBJECTIVES), mode=["max"] * len(OBJECTIVES))  # type: ignore[arg-type]
        self._key = id(agenda)
        self._jobs: dict[str, NamedJob] = {}
        _AGENDAS[self._key] = (agenda, done)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """The next job, None to wait, or FINISHED."""
        agenda, _ = _AGENDAS[self._key]
        upcoming = agenda.next()
        if isinstance(upcoming, Next):
            return Searcher.FINISHED if upcoming is Next.FINISHED else None
        self._jobs[trial_id] = upcoming
        return {"job": upcoming.job}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: a trial has one result, its last."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Hands the result on."""
        _, done = _AGENDAS[self._key]
        done(self._jobs.pop(trial_id), None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record is what a sweep resumes from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""
