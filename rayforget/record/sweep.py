"""One sweep's folder in the storage: what was asked, what was found, and the kept weights."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rayforget.errors import RecordError, StorageError
from rayforget.frontier.points import PointKey
from rayforget.record.command import command
from rayforget.record.driver_lock import sole_driver
from rayforget.record.envelope import canonical_json, open_sealed, seal
from rayforget.record.known import Known
from rayforget.record.objects import decode_checkpoint, decode_test, encode_checkpoint, encode_test
from rayforget.record.store import Store
from rayforget.values.brief import CheckpointBrief, brief_of
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WEIGHTS = re.compile(r"[^.].*-\d+\.safetensors")
_LONGEST_NAME = 150
"""In letters; file systems end at 255, and files beside a sweep have names longer than its own."""
_TAKEN = frozenset({"cache", "mlartifacts", "mlflow.db"})
"""Names of other things in the storage path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInfo:
    """A sweep's identity, fixed when it starts."""

    name: str
    space_name: str
    created: float
    """Unix time."""
    space_digest: str
    """`space_digest` of the resolved space."""
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

    def __init__(self, store: Store, info: SweepInfo) -> None:
        self.store = store
        """The sweep's folder."""
        self.info = info
        self._briefs = Known(store, "points", lambda data, name: brief_of(decode_checkpoint(data, name)))
        self._tests = Known(store, "test", decode_test)
        self._space = Known(store, "", lambda data, name: data)

    @classmethod
    def create(cls, storage: Store, info: SweepInfo, *, space_text: str, space: Mapping[str, Any]) -> "Sweep":
        """Creates a sweep: `space.yaml` as the user wrote it, `space.json` as resolved, `sweep.json` last.

        The info has the order of the space's methods and tasks as lists, since JSON objects have none.

        Raises:
            RecordError: the name is taken, or is no valid folder name.
        """
        _check_name(info.name)
        _check_new_name(info.name)
        if storage.exists(info.name):
            raise RecordError(
                f"a sweep {info.name} exists in {storage}; choose another name, go on with it "
                f"({command(f'sweep --resume {info.name}', storage)}), "
                f"or delete it ({command(f'rm {info.name}', storage)})"
            )
        store = storage.within(info.name)
        info = dataclasses.replace(info, methods=tuple(space.get("methods", ())), tasks=tuple(space.get("tasks", ())))
        store.write_once("space.yaml", space_text.encode())
        store.write_once("space.json", canonical_json(space))
        store.write_once("sweep.json", seal("sweep", dataclasses.asdict(info)))
        return cls(store, info)

    @classmethod
    def open(cls, storage: Store, name: str) -> "Sweep":
        """Opens an existing sweep.

        Raises:
            RecordError: there is no sweep of this name, or its `sweep.json` is damaged.
        """
        _check_name(name)
        store = storage.within(name)
        if not store.exists("sweep.json"):
            raise _no_sweep(storage, name)
        return cls(store, _read_info(store))

    def space_text(self) -> str:
        """The space file as the user wrote it."""
        return self.store.read("space.yaml").decode()

    def space_json(self) -> bytes:
        """The resolved space; read once per object."""
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
        everything = Known(self.store, "points", decode_checkpoint).everything()
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

    def set_aside(self, record: CheckpointRecord) -> None:
        """Moves a failed training's record to `failed/`, so that it counts as not yet done."""
        name = f"points/{record.key}.json"
        data = self.store.read(name)
        self.store.write_once(f"failed/{record.key}-{hashlib.sha256(data).hexdigest()[:12]}.json", data)
        self.store.delete(name)

    def trials(self) -> dict[str, list[int]]:
        """Trial -> its recorded steps, ascending, from the file names alone."""
        steps: dict[str, list[int]] = {}
        for trial, step in sorted(_split_key(name) for name in self.store.json_files("points")):
            steps.setdefault(trial, []).append(step)
        return steps

    def add_tests(self, record: TestRecord) -> None:
        """Writes scores on `test`; later ones of the same (trial, step) get a file of their own."""
        data = encode_test(record)
        self.store.write_once(f"test/{record.key}-{hashlib.sha256(data).hexdigest()[:12]}.json", data)

    def tests(self) -> list[TestRecord]:
        """All scores on `test`, sorted by (trial, step), the latest last; reads each file once per object.

        Raises:
            RecordError: one is damaged.
        """
        return sorted(self._tests.everything(), key=lambda record: (record.trial, record.step, record.finished))

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
        return {_split_key(name): size for name, size in sizes if _WEIGHTS.fullmatch(name)}

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

    def _read_record(self, name: str) -> CheckpointRecord:
        return decode_checkpoint(self.store.read(name), f"{self.store}/{name}")


def _no_sweep(storage: Store, name: str) -> RecordError:
    return RecordError(f"no sweep {name} in {storage}; found: {', '.join(sweep_names(storage)) or 'none'}")


def remove_sweep(storage: Store, name: str) -> None:
    """Deletes a sweep, or what is left of one, beginning with `sweep.json`, so that half a sweep is never listed.

    Raises:
        RecordError: there is no folder of this name, it is not a sweep's, or a driver is working on it.
    """
    _check_name(name)
    if not {"sweep.json", "space.json", "space.yaml"} & storage.files(name).keys():
        raise _no_sweep(storage, name)
    with sole_driver(storage.within(name)):
        storage.delete(f"{name}/sweep.json")
        storage.delete(name)


def sweep_names(storage: Store) -> list[str]:
    """Names of all sweeps in a storage path, sorted; reads none of them, so some may be damaged."""
    return [name for name in storage.folders() if _NAME.fullmatch(name) and storage.exists(f"{name}/sweep.json")]


def unused_name(storage: Store, space_name: str, created: float) -> str:
    """`SPACE-YYYYMMDD-HHMMSS` in local time, with -2, -3, ... if it is taken."""
    base = f"{space_name}-{datetime.fromtimestamp(created):%Y%m%d-%H%M%S}"
    name, number = base, 2
    while storage.exists(name):
        name, number = f"{base}-{number}", number + 1
    return name


def space_digest(space: Mapping[str, Any]) -> str:
    """Twelve hex digits that identify a resolved space (`model_dump(mode="json")`) by its content."""
    return hashlib.sha256(canonical_json(space)).hexdigest()[:12]


def file_key(trial: str, step: int) -> str:
    """`trial-step`, the start of a checkpoint's file names."""
    return f"{trial}-{step:06d}"


def _split_key(name: str) -> tuple[str, int]:
    trial, _, rest = name.rpartition("-")
    step = rest.split(".")[0]
    if not step.isdecimal():
        raise RecordError(f"{name} is no name of the record's, expected TRIAL-STEP.json; move it elsewhere")
    return trial, int(step)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RecordError(f"{name!r} cannot name a sweep; expected letters, digits, dot, dash and underscore")


def _check_new_name(name: str) -> None:
    if name in _TAKEN:
        raise RecordError(f"{name} cannot name a sweep: rayforget keeps {name} beside the sweeps; choose another name")
    if len(name) > _LONGEST_NAME:
        raise RecordError(
            f"a sweep's name has {len(name)} letters ({name[:20]}...), expected at most {_LONGEST_NAME}; choose a "
            "shorter one (--name)"
        )


def _read_info(store: Store) -> SweepInfo:
    body: dict[str, Any] = open_sealed("sweep", store.read("sweep.json"), f"{store}/sweep.json")
    body |= {name: tuple(body.get(name, ())) for name in ("methods", "tasks")}
    return SweepInfo(**body)
