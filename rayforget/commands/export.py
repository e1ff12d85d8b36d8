"""`rayforget export NAME FOLDER`: a point of a sweep as a folder that open_clip or transformers loads as it is."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from rayforget.export.card import ADAPTER
from rayforget.export.measured import MeasuredAgain, differences
from rayforget.export.point import RecordedPoint
from rayforget.export.point_folder import Dtype, Exported, export_point
from rayforget.export.push import check_name, push_folder, refuse_local_base
from rayforget.frontier.points import parse_key
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.picking import picked_key
from rayforget.report.present import read_report
from rayforget.report.terminal.live import open_console
from rayforget.report.words.numbers import name_point


def export(
    storage: str,
    name: str,
    folder: Path,
    *,
    point: str | None,
    dtype: Dtype,
    adapter: bool,
    push: str | None,
    private: bool,
) -> None:
    """Exports a point, the pick if none is named, and uploads it if asked to.

    Raises:
        RayforgetError: it cannot be exported; see `export_point`.
    """
    if push is not None:
        check_name(push)
    sweep = Sweep.open(Store.open(storage), name)
    space = space_here(sweep, storage)
    if push is not None and adapter:
        refuse_local_base(space.foundation)
    summary = read_report(sweep, space).summary
    key = picked_key(summary) if point is None else parse_key(point)
    console = open_console()
    done = export_point(sweep, space, summary, key, folder, dtype=dtype, adapter=adapter)
    _say(console, done)
    if push is not None:
        console.print(Text(f"uploaded: {push_folder(folder, push, private=private)}"), soft_wrap=True)


def _say(console: Console, done: Exported) -> None:
    facts, folder = done.facts, done.folder
    console.print(Text(f"{facts.point.key.text}: {name_point(facts.summary.points[facts.index])}"), soft_wrap=True)
    if facts.again is None:
        text = f"{folder}: read again by {facts.words.library}, the scored weights, hash {facts.hash}"
        console.print(Text(text), soft_wrap=True)
    else:
        text = f"{folder}: weights rounded to {facts.dtype}, hash {facts.hash}"
        console.print(Text(text), soft_wrap=True)
        _say_differing(console, facts.dtype, facts.again, facts.point)
    if facts.aside is not None:
        text = f"{facts.aside.file}: the recipe's trained classifier, which {facts.words.library} cannot hold"
        console.print(Text(text), soft_wrap=True)
    if facts.adapted is not None:
        text = (
            f"{ADAPTER}/: rank {facts.adapted.rank}, scale {facts.adapted.scale:g}; its largest difference of a weight "
            f"is {facts.adapted.largest:.1e} of the largest change"
        )
        console.print(Text(text), soft_wrap=True)
        _say_differing(console, "the adapter", facts.adapted.again, facts.point)
    loading = facts.words.loading.replace("FOLDER", str(folder))
    console.print(Text(loading.rstrip()), soft_wrap=True)


def _say_differing(console: Console, what: str, again: MeasuredAgain, point: RecordedPoint) -> None:
    for split, scores in again.by_split.items():
        words = ", ".join(f"{task} {how}" for task, how in differences(scores, point.by_split[split]).items())
        console.print(Text(f"{split}, items with another result in {what}: {words}"), soft_wrap=True)
    if again.test is None:
        text = "test: not scored, since the report keeps this point off it, so that test chooses nothing"
        console.print(Text(text), soft_wrap=True)
