"""Records' facts on the data -> a report's remarks on them: nothing is left out or cut silently."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rayforget.printable import one_line
from rayforget.record.command import command, resuming
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.records import QLORA, STATISTICS, TestRecord
from rayforget.values.skipped import Skipped, counted

_NUM_NAMED = 5


def data_remarks(records: Iterable[AnyCheckpoint], tests: Iterable[TestRecord]) -> tuple[str, ...]:
    """One sentence per split with skipped broken images, one for cut training texts, one for lerped statistics, one per
    method on a base in 4 bits and per training that failed after a checkpoint.

    Args:
        records: a sweep's; theta_0's own is about `val`, the trainings' are about `train`.
        tests: its scores on `test`.
    """
    records = list(records)
    remarks: dict[str, None] = {}
    told: list[tuple[str, Mapping[str, Any]]] = []
    told += [("train" if record.recipe else "val", record.facts) for record in records]
    told += [("test", test.facts) for test in tests]
    for split, facts in told:
        for task, names in facts.get("broken", {}).items():
            remarks[broken_remark(f"tasks.{task}.{split}", names)] = None
        for task, names in facts.get("broken_rows", {}).items():
            remarks[skipped_remark(f"tasks.{task}.{split}", names)] = None
    remarks |= dict.fromkeys(_cut(records))
    remarks |= dict.fromkeys(_half_failed(records))
    remarks |= dict.fromkeys(in_4_bits_remarks(records))
    if lerped := dict.fromkeys(record.trial for record in records if record.facts.get(STATISTICS)):
        remarks[f"{', '.join(lerped)}: BatchNorm's statistics were tuned too, and are interpolated like weights"] = None
    return tuple(remarks)


def broken_remark(where: str, names: Sequence[str], *, what: str = "image") -> str:
    """`tasks.photo.val: 2 broken images skipped: a.jpg, b.jpg`; if there are many, names only the first."""
    images = f"1 broken {what}" if len(names) == 1 else f"{len(names)} broken {what}s"
    more = f", and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
    return f"{where}: {images} skipped: {', '.join(map(one_line, names[:_NUM_NAMED]))}{more}"


def skipped_remark(where: str, rows: Skipped | Sequence[str]) -> str:
    """`tasks.arc.val: 3 rows skipped: 2 without `answer` (a.csv:7, ...), 1 with an empty choice (a.csv:9)`.

    Args:
        where: a key of the space.
        rows: the skipped rows; records of older versions have only their names.
    """
    if not isinstance(rows, Mapping):
        return broken_remark(where, rows, what="row")
    number = sum(map(len, rows.values()))
    return f"{where}: {number} row{'' if number == 1 else 's'} skipped: {one_line(counted(rows))}"


def _cut(records: Sequence[AnyCheckpoint]) -> list[str]:
    """Remarks on cut training texts; the trainings share their sequences, so the largest counts hold for all."""
    found = []
    for fact, verb in (("cut_sequences", "cut to the model's length"), ("dropped_sequences", "left out as too long")):
        count = max((int(record.facts.get(fact, 0)) for record in records), default=0)
        if count:
            found.append(f"train: {count} text{' was' if count == 1 else 's were'} {verb}")
    return found


def in_4_bits_remarks(records: Sequence[AnyCheckpoint]) -> list[str]:
    """What a method's adapters score on a base in 4 bits and merged, over all checkpoints; one remark a method."""
    by_method: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        if fact := record.facts.get(QLORA):
            by_method.setdefault((str(record.recipe.get("method")), str(fact["base"])), []).append(fact)
    return [
        f"{one_line(method)} was trained on a 4-bit base. Merged into {one_line(base)} in full precision, as its "
        f"points are: {_mean_of(facts, 'merged')}; on the 4-bit base: {_mean_of(facts, 'on_4_bits')} "
        f"(val, mean of {len(facts)} checkpoint{'' if len(facts) == 1 else 's'})"
        for (method, base), facts in by_method.items()
    ]


def _mean_of(facts: Sequence[Mapping[str, Any]], model: str) -> str:
    """`speciality 43.1, generality 86.2`."""
    found = [fact[model] for fact in facts if fact[model] is not None]
    if not found:
        return "its outputs are not finite"
    means = {role: sum(each[role] for each in found) / len(found) for role in ("speciality", "generality")}
    return ", ".join(f"{role} {100 * mean:.1f}" for role, mean in means.items())


def _half_failed(records: Sequence[AnyCheckpoint]) -> list[str]:
    """Remarks on trainings that failed after a checkpoint: it has points, and the training is counted."""
    scored = {record.trial for record in records if record.status == "ok"}
    return [
        f"{one_line(record.trial)} failed after a checkpoint that was scored: it counts as a training, by what it had "
        "until then"
        for record in records
        if record.status == "failed" and record.trial in scored
    ]


def tried_again_notice(name: str, storage: str, address: str | None = None) -> str:
    """How to have a failure that an extension caused tried again."""
    resume = command(resuming(name, address), storage)
    return f"once an extension that a failed training used is mended, this tries it again: {resume}"
