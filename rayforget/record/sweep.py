"""One sweep's folder in the storage: what was asked, what was found, and the kept weights."""

import dataclasses
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayforget.errors import RecordError, StorageError
from rayforget.frontier.points import PointKey
from rayforget.record.brief_index import BriefIndex, brief_of_entry, entry_of
from rayforget.record.envelope import canonical_json, open_sealed, seal
from rayforget.record.known import Known
from rayforget.record.names import check_name, check_new_name, check_place, file_key, no_sweep, split_key
from rayforget.record.objects import decode_checkpoint, decode_test, encode_checkpoint, encode_test
from rayforget.record.segments import Segments
from rayforget.record.storage.store import Store
from rayforget.record.tested import of_recorded_weights
from rayforget.values.brief import CheckpointBrief, brief_of
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score

_log = logging.getLogger(__name__)
_WEIGHTS = re.compile(r"[^.].*-\d+\.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInfo:
    """A sweep's identity, fixed when it starts."""

    name: str
    space_name: str
    created: float
    """Unix time."""
    space_digest: str = ""
    """`space_digest` of the resolved space, which `create` fills in; `""` in records that do not have it."""
    theta_0_hash: str | None = None
    """None if the driver did not load the foundation; every record has its own."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """As in CheckpointRecord, for the driver."""
    methods: tuple[str, ...] = ()
    """The space's methods in its own order, which `space.json` with its sorted names does not keep; `()` in records
    older than this field (`space_of` then reads the order from the space's text)."""
    tasks: tuple[str, ...] = ()
    """The space's tasks in its own order, likewise."""


class Sweep:
    """The files of one sweep; several processes may read, one writes."""

    def __init__(self, store: Store, info: SweepInfo, *, first_name: str | None = None) -> None:
        self.store = store
        """The sweep's folder."""
        self.info = info
        self.first_name = first_name or info.name
        """The name that it was created with, which stays when its folder is renamed."""
        segments = (
            None if store.local is not None else Segments(store, "points", encode=entry_of, decode=brief_of_entry)
        )
        self._briefs = Known(store, "points", _brief, index=BriefIndex(store), segments=segments)
        self._tests = Known(store, "test", _test)
        self._space = Known(store, "", self._sealed_space)
        self._told: set[str] = set()

    @classmethod
    def create(cls, storage: Store, info: SweepInfo, *, space_text: str, space: Mapping[str, Any]) -> "Sweep":
        """Creates a sweep: `space.json` as resolved, `space.yaml` as the user wrote it, `sweep.json` last.

        The info has the digest of `space.json`, so that a change of it shows, and the order of the space's methods and
        tasks as lists, since JSON objects have none.

        Raises:
            RecordError: the name is taken, or is no valid folder name.
        """
        check_new_name(storage, info.name)
        store = storage.within(info.name)
        methods, tasks = tuple(space.get("methods", ())), tuple(space.get("tasks", ()))
        info = dataclasses.replace(info, space_digest=space_digest(space), methods=methods, tasks=tasks)
        store.write_once("space.json", canonical_json(space))
        store.write_once("space.yaml", space_text.encode())
        store.write_once("sweep.json", seal("sweep", dataclasses.asdict(info)))
        return cls(store, info)

    @classmethod
    def open(cls, storage: Store, name: str) -> "Sweep":
        """Opens an existing sweep; its name is its folder's, which may have been renamed.

        Raises:
            RecordError: there is no sweep of this name, or its `sweep.json` is damaged.
        """
        check_name(name)
        store = storage.within(name)
        if not store.exists("sweep.json"):
            raise no_sweep(storage, name)
        info = _read_info(store)
        return cls(store, dataclasses.replace(info, name=name), first_name=info.name)

    def space_text(self) -> str:
        """The space file as the user wrote it."""
        return self.store.read("space.yaml").decode()

    def space_json(self) -> bytes:
        """The resolved space; read once per object.

        Raises:
            RecordError: it is missing, or is not the one that the sweep was created with.
        """
        return self._space.one("space.json")

    def note_budget(self, trainings: int) -> None:
        """Records that the sweep may have this many trainings."""
        self.store.write_once(f"budget/{trainings}", b"")

    def budgets(self) -> list[int]:
        """Every number of trainings that the sweep was ever given."""
        return sorted(int(name) for name in self.store.files("budget") if name.isdecimal())

    def add(self, record: CheckpointRecord) -> None:
        """Writes a checkpoint's record; if the (trial, step) is already recorded, the first writer wins.

        A worker whose driver was killed may still be working on a trial that a new worker has taken up: both then find
        the same, and record it at different times.

        Raises:
            RecordError: the existing record is damaged, had another outcome, or belongs to another model.
        """
        data, name = encode_checkpoint(record), f"points/{record.key}.json"
        try:
            self.store.write_once(name, data)
        except StorageError:
            raise
        except RecordError:
            first = self._read_record(name)
            if (first.status, first.theta_0_hash) != (record.status, record.theta_0_hash):
                raise

    def has(self, trial: str, step: int) -> bool:
        """Whether this (trial, step) is recorded."""
        return self.store.exists(f"points/{file_key(trial, step)}.json")

    def record(self, trial: str, step: int) -> CheckpointRecord:
        """One checkpoint's record.

        Raises:
            RecordError: it is missing or damaged.
        """
        return self._read_record(f"points/{file_key(trial, step)}.json")

    def records(self) -> list[CheckpointRecord]:
        """All records with all their items, sorted by (trial, step); for a large sweep they fill the memory: see
        `briefs`.

        Raises:
            RecordError: one is damaged.
        """
        everything = Known(self.store, "points", _checkpoint).everything()
        return sorted(everything, key=lambda record: (record.trial, record.step))

    def briefs(self) -> list[CheckpointBrief]:
        """All records without their items, sorted by (trial, step); reads each file once per object.

        Raises:
            RecordError: one is damaged.
        """
        return sorted(self._briefs.everything(), key=lambda brief: (brief.trial, brief.step))

    def brief(self, trial: str, step: int) -> CheckpointBrief:
        """One record without its items; raises as `record`."""
        return self._briefs.one(f"{file_key(trial, step)}.json")

    def recorded(self, trial: str, step: int) -> CheckpointBrief:
        """A record that a worker of this driver has just written; raises as `record`."""
        brief = self.brief(trial, step)
        self._briefs.wrote(f"{file_key(trial, step)}.json", brief)
        return brief

    def set_aside(self, record: CheckpointRecord) -> None:
        """Moves a failed training's record to `failed/`, so that it counts as not yet done."""
        name = f"points/{record.key}.json"
        data = self.store.read(name)
        self.store.write_once(f"failed/{record.key}-{hashlib.sha256(data).hexdigest()[:12]}.json", data)
        self.store.delete(name)

    def trials(self) -> dict[str, list[int]]:
        """Trial -> its recorded steps, ascending, from the file names alone."""
        steps: dict[str, list[int]] = {}
        for trial, step in sorted(split_key(name) for name in self.store.json_files("points")):
            steps.setdefault(trial, []).append(step)
        return steps

    def add_tests(self, record: TestRecord) -> None:
        """Writes scores on `test`."""
        data = encode_test(record)
        self.store.write_once(f"test/{_test_name(record, data)}", data)

    def tests(self) -> list[TestRecord]:
        """All scores on `test`, sorted by (trial, step), the latest last; reads each file once per object.

        Scores of other weights than the (trial, step)'s record has by now are left out, with a warning.

        Raises:
            RecordError: one is damaged, or a record of the same (trial, step) is.
        """
        found = sorted(self._tests.everything(), key=lambda record: (record.trial, record.step, record.finished))
        recorded = self.store.json_files("points") if found else {}

        def hash_of(test: TestRecord) -> str | None:
            return self.brief(test.trial, test.step).theta_1_hash if f"{test.key}.json" in recorded else None

        return of_recorded_weights(found, hash_of, self._tell)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)

    def test_scores(self) -> dict[PointKey, Mapping[str, Score]]:
        """(trial, step, alpha, path) -> scores on `test` by task; the latest if a point was scored again."""
        return {
            PointKey(record.trial, record.step, *spot): scores
            for record in self.tests()
            for spot, scores in record.scores.items()
        }

    def kept_weights(self) -> dict[tuple[str, int], int]:
        """(trial, step) -> bytes of its kept weights (`rayforget.record.weights` reads and writes them)."""
        sizes = self.store.files("weights").items()
        return {split_key(name): size for name, size in sizes if _WEIGHTS.fullmatch(name)}

    def drop_weights(self, trial: str, step: int) -> None:
        """Deletes weights; missing ones are no error."""
        self.store.delete(f"weights/{file_key(trial, step)}.safetensors")

    def resume_folder(self, trial: str) -> Store:
        """The folder in which a running trial keeps what it needs to go on after its workers died."""
        return self.store.within(f"resume/{trial}")

    def drop_resume(self, trial: str) -> None:
        """Deletes that folder, once the trial is recorded."""
        self.store.delete(f"resume/{trial}")

    def clean(self, finished: set[str]) -> None:
        """Deletes what a killed driver left; only for the one process that writes, before it starts trials.

        Args:
            finished: fully recorded trials, which will not be resumed.
        """
        self.store.delete_unfinished()
        for trial in self.store.folders("resume"):
            if trial in finished:
                self.drop_resume(trial)
        recorded = self.trials()
        for trial, step in self.kept_weights():
            if step not in recorded.get(trial, []):
                self.drop_weights(trial, step)

    def _sealed_space(self, data: bytes, name: str) -> bytes:
        if self.info.space_digest and _digest(data) != self.info.space_digest:
            raise RecordError(
                f"{name} is damaged or was edited: it is not the space that the sweep was created with, whose digest "
                "is in sweep.json; restore it from a copy; for another space start another sweep"
            )
        return data

    def _read_record(self, name: str) -> CheckpointRecord:
        return _checkpoint(self.store.read(name), f"{self.store}/{name}")


def _brief(data: bytes, path: str) -> CheckpointBrief:
    return brief_of(_checkpoint(data, path))


def _checkpoint(data: bytes, path: str) -> CheckpointRecord:
    record = decode_checkpoint(data, path)
    check_place(path, f"{record.key}.json")
    return record


def _test(data: bytes, path: str) -> TestRecord:
    record = decode_test(data, path)
    check_place(path, _test_name(record, data))
    return record


def _test_name(record: TestRecord, data: bytes) -> str:
    """Later scores of the same (trial, step) get a file of their own."""
    return f"{record.key}-{_digest(data)}.json"


def space_digest(space: Mapping[str, Any]) -> str:
    """Twelve hex digits that identify a resolved space (`model_dump(mode="json")`) by its content."""
    return _digest(canonical_json(space))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _read_info(store: Store) -> SweepInfo:
    body: dict[str, Any] = open_sealed("sweep", store.read("sweep.json"), f"{store}/sweep.json")
    body |= {name: tuple(body.get(name, ())) for name in ("methods", "tasks")}
    return SweepInfo(**body)
