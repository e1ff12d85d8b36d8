"""A sweep's record -> its progress and what it recovers, in the words of `list` and `status`."""

import time
from collections.abc import Sequence
from datetime import datetime

from rayforget.errors import ExtensionError, RecordError
from rayforget.frontier.compare import recover
from rayforget.frontier.gather import Gathered, gather
from rayforget.frontier.on_demand import items_of, with_items
from rayforget.frontier.points import TaskRole
from rayforget.frontier.summary import Recovery
from rayforget.record.packages import missing_packages
from rayforget.record.standing import Standing, roles_of, standing_of
from rayforget.record.sweep import Sweep
from rayforget.report.present import SEED
from rayforget.report.words.numbers import format_recovered


def glance(sweep: Sweep, *, resamples: int = 1000) -> tuple[Standing, str, str | None]:
    """A sweep's progress, what it recovers, and why an extension keeps that from having an interval, if one does.

    The record is read once; 0 `resamples` give no interval.
    """
    roles, records = roles_of(sweep), sweep.briefs()
    gathered = with_items(gather(records, roles), items_of(sweep.record))
    recovery, lacking = _recovery(sweep, gathered, roles, resamples)
    return standing_of(sweep, records, gathered), _words(recovery), lacking


def _recovery(
    sweep: Sweep, gathered: Gathered, roles: Sequence[TaskRole], resamples: int
) -> tuple[Recovery | None, str | None]:
    """What the sweep recovers, None if theta_0 is not scored yet; and what another package's metric lacks."""
    try:
        tests = sweep.test_scores()
        found = recover(gathered.points, roles, val=gathered.val, test=tests, seed=SEED, num_resamples=resamples)
        return found, None
    except ExtensionError as error:  # the scores are recorded, but their errors need the package
        missing = missing_packages(sweep.info.provenance)
        lacking = f"{error}" if missing is None else f"install {missing}"
        return (_recovery(sweep, gathered, roles, 0)[0] if resamples else None), lacking
    except RecordError:
        return None, None


def _words(recovery: Recovery | None) -> str:
    """`0.91 [0.80, 1.02] on test`, the same value as in `rayforget frontier`."""
    if recovery is None or recovery.val is None:
        return "—"
    if recovery.test is not None:
        return f"{format_recovered(recovery.test, recovery.interval)} on test"
    return f"{format_recovered(recovery.val)} on val*"


def last_record(standing: Standing) -> str:
    """When something was last recorded, in words."""
    if standing.last_record is None:
        return "nothing recorded yet"
    seconds = max(0.0, time.time() - standing.last_record)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length or unit == "second":
            count = int(seconds // length)
            return f"last record {count} {unit}{'' if count == 1 else 's'} ago"
    raise AssertionError


def date(seconds: float) -> str:
    """A Unix time as local time: `2026-11-28 08:05`."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
