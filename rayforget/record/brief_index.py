"""The briefs of a sweep's records in one file of the cache, so that thousands of records are not read for a listing.

The record alone is the truth: an entry counts only while its record's file has the stamp (size, times, inode, or a
server's e-tag) that it had when it was read, and a damaged or older index is ignored and made again.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rayforget.record.index_file import IndexFile
from rayforget.record.storage.store import Store
from rayforget.values.brief import CheckpointBrief
from rayforget.values.points import Point
from rayforget.values.scores import ScoreBrief

Entries = dict[str, tuple[str, CheckpointBrief]]
"""File name -> its stamp, and the brief of the record in it."""
_FIELDS = ("trial", "step", "fraction", "status", "reason", "theta_1_hash", "recipe", "seconds", "facts", "finished")


class BriefIndex(IndexFile):
    """The index of one sweep."""

    def __init__(self, store: Store) -> None:
        """Reads nothing yet; `store` is the sweep's folder."""
        super().__init__(store, "json", layout=2)

    def entries(self) -> Entries:
        """What is indexed; empty if there is no index that this version wrote and that is whole."""
        try:
            plain = json.loads(self.load() or b"[]")
            return {name: (stamp, brief_of_entry(entry)) for name, stamp, entry in plain}
        except (ValueError, LookupError, TypeError):
            return {}

    def keep(self, entries: Mapping[str, tuple[str, CheckpointBrief]]) -> None:
        """Replaces the index."""
        plain = [[name, stamp, entry_of(brief)] for name, (stamp, brief) in entries.items()]
        self.save(json.dumps(plain, separators=(",", ":")).encode())


def entry_of(brief: CheckpointBrief) -> list[Any]:
    """A brief as JSON; the tasks with their rules once, since all points have the same."""
    tasks = [[task, score.rule] for task, score in brief.points[0].scores.items()] if brief.points else []
    points = [
        [
            point.alpha,
            point.path,
            point.coarse,
            [point.scores[task].value for task, _ in tasks],
            [dict(point.scores[task].readings) for task, _ in tasks]
            if any(score.readings for score in point.scores.values())
            else None,
        ]
        for point in brief.points
    ]
    return [[getattr(brief, name) for name in _FIELDS], tasks, points]


def brief_of_entry(entry: list[Any]) -> CheckpointBrief:
    """The inverse of `entry_of`."""
    fields, tasks, points = entry
    names = [(sys.intern(task), sys.intern(rule)) for task, rule in tasks]
    return CheckpointBrief(
        **dict(zip(_FIELDS, fields, strict=True)),
        points=tuple(
            Point(
                alpha=alpha,
                path=sys.intern(path),
                coarse=coarse,
                scores={
                    task: ScoreBrief(rule=rule, value=value, readings=found)
                    for (task, rule), value, found in zip(names, values, readings or [_NONE] * len(names), strict=True)
                },
            )
            for alpha, path, coarse, values, readings in points
        ),
    )


_NONE: Mapping[str, float] = {}
