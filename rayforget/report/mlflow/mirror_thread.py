"""A driver's knowledge while its sweep runs -> MLflow, now and then, from a thread that the sweep never waits for."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rayforget.errors import ExtensionError, RecordError
from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.gather import Gathered, gather
from rayforget.frontier.on_demand import items_of, with_items
from rayforget.frontier.points import THETA_0, task_roles
from rayforget.record.standing import is_finished
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.mirror import mirror
from rayforget.report.mlflow.mirror_plan import SweepView
from rayforget.report.mlflow.tracking import MirrorError, find_tracking
from rayforget.report.present import series_of
from rayforget.values.brief import AnyCheckpoint

if TYPE_CHECKING:
    from rayforget.space.models import Space

FIRST_AFTER_S = 300.0
"""A sweep of a few minutes is mirrored only at its end: MLflow's import alone takes 3 s of a core."""
PAUSE_S = 60.0
"""Minimal time between two mirrorings."""
_MAX_SHARE = 0.05
"""Largest share of the time to spend on mirroring."""
SETTLED_S = 30.0
"""After this time the driver knows of a trial's end, and of all that ended before it."""


class MirrorThread:
    """Mirrors the newest state it was told, one mirroring at a time; a context manager."""

    def __init__(
        self,
        mirror_state: Callable[[Sequence[AnyCheckpoint]], None],
        *,
        say: Callable[[str], None],
        first_after_s: float = FIRST_AFTER_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        """Starts nothing yet.

        Args:
            mirror_state: writes one state; raises MirrorError.
            say: shows the user a line; called at most once, for the first error.
            first_after_s: seconds before the first mirroring.
            pause_s: minimal seconds between two mirrorings.
        """
        self._mirror_state, self._say = mirror_state, say
        self._first_after_s, self._pause_s = first_after_s, pause_s
        self._newest: Sequence[AnyCheckpoint] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> "MirrorThread":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for a running mirroring, since the next one, of the whole sweep, must be alone."""
        self._ended.set()
        self._thread.join()

    def tell(self, records: Sequence[AnyCheckpoint]) -> None:
        """Takes the newest state, all records so far; returns at once."""
        self._newest = records

    def _run(self) -> None:
        pause, said = self._first_after_s, False
        while not self._ended.wait(pause):
            newest, self._newest = self._newest, None
            pause = self._pause_s
            if newest is None:
                continue
            started = time.monotonic()
            try:
                self._mirror_state(newest)
            except (MirrorError, RecordError, ExtensionError, OSError) as error:
                if not said:
                    self._say(f"MLflow: {error}; the sweep goes on, and is mirrored when it ends")
                said = True
            pause = max(pause, (time.monotonic() - started) / _MAX_SHARE)


def mirror_thread(sweep: Sweep, space: "Space", say: Callable[[str], None]) -> MirrorThread:
    """The thread that mirrors this sweep; it does nothing unless the space enables it."""
    roles = task_roles(space)
    errors, items = BaselineErrors(roles), items_of(sweep.record)

    def mirror_state(records: Sequence[AnyCheckpoint]) -> None:
        from rayforget.record.storage.store import Store

        if space.tracking.enabled:
            gathered = with_items(gather(records, roles), items)
            view = running_view(sweep, space, records, gathered, errors, now=time.time())
            mirror(view, find_tracking(space.tracking.uri, Store.open(space.storage.path)))

    return MirrorThread(mirror_state, say=say)


def running_view(
    sweep: Sweep,
    space: "Space",
    records: Sequence[AnyCheckpoint],
    gathered: Gathered,
    errors: BaselineErrors,
    *,
    now: float,
) -> SweepView:
    """Trials that ended, with their points; the frontier is only marked when the sweep ends."""
    trials: dict[str, list[AnyCheckpoint]] = {}
    for record in records:
        trials.setdefault(record.trial, []).append(record)
    ended = {name for name, of in trials.items() if name == THETA_0 or is_finished(of)}
    return SweepView(
        name=sweep.info.name,
        identity=sweep.first_name,
        space_name=sweep.info.space_name,
        created=sweep.info.created,
        running=True,
        commit=sweep.info.provenance.get("code", {}).get("commit"),
        roles=task_roles(space),
        records=[record for record in records if record.trial in ended],
        points=gathered.points,
        series=series_of(records, gathered, errors, before=now - SETTLED_S) if THETA_0 in ended else {},
    )
