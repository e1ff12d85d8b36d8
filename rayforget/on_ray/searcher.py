"""Tune's view of the agenda: asks it for the next job, and brings back the results.

A `Searcher` of our own rather than a subclass of Ray's `OptunaSearch`: that cannot hand out baselines or test jobs,
tells [None, None] for a failed trial (which leaves it RUNNING in Optuna), and refuses pairs of values and added points
in define-by-run spaces; every one of its methods would be replaced. Optuna itself is asked and told by
`rayforget.search.study`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Stopper
from ray.tune.search import Searcher

from rayforget.on_ray.parcel import Parcel
from rayforget.on_ray.trainable import IDLE, OBJECTIVES
from rayforget.search.agenda import Agenda, NamedJob, Next

Done = Callable[[NamedJob, dict[str, Any] | None], None]
"""Called with a job and its result; None if Tune lost the trial."""


@dataclass(slots=True, kw_only=True)
class SharedSearch:
    """The state shared by all copies of a searcher."""

    agenda: Agenda
    done: Done
    tune_is_up: Callable[[], None] | None = None
    """Called once, in Tune's own loop, when the first job is asked for."""
    jobs: dict[str, NamedJob | None] = field(default_factory=dict)
    """Tune's running trial -> its job; None for a slot that waits."""
    taken_back: int = 0
    """Number of jobs with known results: only a new result can make work for a slot that found none."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Tune's trial in which a slot waits -> `taken_back` at its start."""
    warm: int = 0
    """Largest number of slots that worked side by side."""
    errors: list[Exception] = field(default_factory=list)
    """Errors of the agenda and of `done`: they make Tune end the sweep, and it passes on only their text."""

    @contextmanager
    def noting_errors(self) -> Iterator[None]:
        """Records errors and lets them pass."""
        try:
            yield
        except Exception as error:
            self.errors.append(error)
            raise


_SHARED: dict[int, SharedSearch] = {}


class AgendaSearcher(Searcher):
    """Lives in the driver. Tune copies and pickles searchers; all copies share one state."""

    def __init__(self, shared: SharedSearch) -> None:
        # Several objectives are passed as lists, despite Searcher's annotations.
        super().__init__(metric=list(OBJECTIVES), mode=["max"] * len(OBJECTIVES))  # type: ignore[arg-type]
        self._key = id(shared)
        _SHARED[self._key] = shared

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """The next job, None to wait, or FINISHED.

        A slot that has worked and finds nothing to do waits in a trial of its own: Tune ends all actors without a trial
        but one, and the slot would be cold when the scores on `test` are distributed. Tune keeps every trial for ever,
        so such a trial lasts until there may be work (`EndOfWait`), however long that takes.
        """
        shared = _SHARED[self._key]
        tune_is_up, shared.tune_is_up = shared.tune_is_up, None
        if tune_is_up is not None:
            tune_is_up()
        with shared.noting_errors():
            upcoming = shared.agenda.next()
        match upcoming:
            case Next.FINISHED:
                return Searcher.FINISHED
            case Next.WAIT if len(shared.jobs) >= shared.warm or shared.agenda.halted is not None:
                return None
            case Next.WAIT:
                shared.jobs[trial_id] = None
                shared.waiting[trial_id] = shared.taken_back
                return {"job": IDLE}
            case NamedJob():
                shared.jobs[trial_id] = upcoming
                shared.warm = max(shared.warm, len(shared.jobs))
                return {"job": Parcel.of(upcoming.job)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: a job has only its last result, and a wait has none."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Passes the result on, once: Tune may report it twice."""
        shared = _SHARED[self._key]
        shared.waiting.pop(trial_id, None)
        named = shared.jobs.pop(trial_id, None)
        if named is not None:
            try:
                with shared.noting_errors():
                    shared.done(named, None if error else result)
            finally:
                shared.taken_back += 1

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep resumes from the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""


class EndOfWait(Stopper):
    """Ends a slot's wait as soon as a job's result may have made work for it; shares the searcher's state.

    Tune asks it after every nap of a waiting slot. So waiting makes one trial for each job that ends meanwhile, not one
    every few seconds.
    """

    def __init__(self, shared: SharedSearch) -> None:
        self._key = id(shared)
        _SHARED[self._key] = shared

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether this trial is a wait, and a job has ended since it began."""
        shared = _SHARED[self._key]
        return shared.waiting.get(trial_id, shared.taken_back) < shared.taken_back

    def stop_all(self) -> bool:
        """Never: the searcher tells when a sweep ends."""
        return False
