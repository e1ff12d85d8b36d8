"""A point's key -> its scores with their items, read from the record on demand and soon forgotten."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from rayforget.frontier.gather import Gathered
from rayforget.frontier.points import PointKey
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score

_REMEMBERED = 8
"""Number of checkpoints whose items are kept: for the baselines, and for reading one curve's points in a row."""

ItemsOf = Callable[[str, int], Mapping[PointKey, Mapping[str, Score]]]
"""(trial, step) -> the scores of all its points, items included."""


def items_of(read: Callable[[str, int], CheckpointRecord]) -> ItemsOf:
    """Reads a checkpoint's whole record with `read`, and remembers the last few; thread-safe."""

    @lru_cache(maxsize=_REMEMBERED)
    def scores(trial: str, step: int) -> Mapping[PointKey, Mapping[str, Score]]:
        return {PointKey(trial, step, *point.spot): point.scores for point in read(trial, step).points}

    return scores


class ScoresOnDemand(Mapping[PointKey, Mapping[str, Score]]):
    """Scores of some points, in place of a dict that would hold all items.

    Raises:
        RecordError: on access, if the record is missing or damaged.
    """

    def __init__(self, keys: Collection[PointKey], items: ItemsOf) -> None:
        self._keys, self._items = dict.fromkeys(keys), items

    def __getitem__(self, key: PointKey) -> Mapping[str, Score]:
        if key not in self._keys:
            raise KeyError(key)
        return self._items(key[0], key[1])[key]

    def __contains__(self, key: object) -> bool:
        """Reads nothing."""
        return key in self._keys

    def __iter__(self) -> Iterator[PointKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def with_items(gathered: Gathered, items: ItemsOf) -> Gathered:
    """What was gathered from briefs, with scores that are read on demand."""
    return replace(gathered, val=ScoresOnDemand([point.key for point in gathered.points], items))
