"""The briefs of a sweep's records in one file of the cache, so that thousands of records are not read for a listing.

The record alone is the truth: an entry counts only while its record's file has the stamp (size, times, inode, or a
server's e-tag) that it had when it was read, and a damaged or older index is ignored and made again.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rayforget.record.provenance import code_version
from rayforget.record.storage.store import Store
from rayforget.values.brief import CheckpointBrief
from rayforget.values.points import Point
from rayforget.values.scores import ScoreBrief

Entries = dict[str, tuple[str, CheckpointBrief]]
"""File name -> its stamp, and the brief of the record in it."""
_FORMAT = 2
_FIELDS = ("trial", "step", "fraction", "status", "reason", "theta_1_hash", "recipe", "seconds", "facts", "finished")


class BriefIndex:
    """The index of one sweep, beside a local storage's sweeps or in the user's home."""

    def __init__(self, store: Store) -> None:
        """Reads nothing yet.

        Args:
            store: the sweep's folder.
        """
        root = (
            Path(os.path.expanduser("~"), ".cache", "rayforget")
            if store.local is None
            else store.local.parent / "cache"
        )
        self.path = root / "index" / f"{hashlib.sha256(store.location.encode()).hexdigest()[:24]}.json"

    def load(self) -> Entries:
        """What is indexed; empty if there is no index that this version wrote and that is whole."""
        try:
            checksum, _, text = self.path.read_bytes().partition(b"\n")
            if checksum != _checksum(text):
                return {}
            return {name: (stamp, _brief(entry)) for name, stamp, entry in json.loads(text)}
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def save(self, entries: Mapping[str, tuple[str, CheckpointBrief]]) -> None:
        """Replaces the index; where the disk refuses there is none, which only costs time."""
        plain = [[name, stamp, _entry(brief)] for name, (stamp, brief) in entries.items()]
        text = json.dumps(plain, separators=(",", ":")).encode()
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".writing-", delete=False) as stream:
                try:
                    stream.write(_checksum(text) + b"\n" + text)
                    stream.flush()
                    os.replace(stream.name, self.path)
                except OSError:
                    os.unlink(stream.name)
                    raise

    def remove(self) -> None:
        """Deletes the index, if there is one and the disk allows it."""
        with suppress(OSError):
            self.path.unlink()


def _checksum(text: bytes) -> bytes:
    """Covers the layout's number, and the version of the code that makes a record's scores of its items."""
    return hashlib.sha256(b"%d %s " % (_FORMAT, code_version().encode()) + text).hexdigest().encode()


def _entry(brief: CheckpointBrief) -> list[Any]:
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


def _brief(entry: list[Any]) -> CheckpointBrief:
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
