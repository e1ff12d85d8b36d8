"""`rayforget gate NAME`: the point that `val` chooses, judged once by its paired interval on `test`."""

import json

from rich.text import Text

from rayforget.commands.pick import NOTHING_QUALIFIES
from rayforget.frontier.gate import Verdict, judge, judge_all
from rayforget.frontier.limits import Limits
from rayforget.frontier.paired import Reached
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.picking import Picking, not_on_test, pick_from
from rayforget.report.picking_json import floor_json, picking_json, reached_json
from rayforget.report.present import read_report
from rayforget.report.terminal.live import open_console
from rayforget.report.words import choices

EXIT_CODES: dict[Verdict, int] = {"holds": 0, "fails": 3, "open": 4}
"""2 is the user's error, as everywhere."""


def print_gate(storage: str, name: str, limits: Limits, *, as_json: bool) -> int:
    """Judges the chosen point and prints the verdict; returns the exit code, 3 too if no point qualifies on `val`.

    Raises:
        SpaceError: a limit names no task and no group.
        RecordError: there is no such sweep, it holds too little for a frontier, or the point has no score on `test`.
    """
    sweep = Sweep.open(Store.open(storage), name)
    picking = pick_from(read_report(sweep, space_here(sweep, storage)), sweep, limits)
    if picking.point is not None and picking.test is None:
        raise not_on_test(picking.summary, picking.point.key, storage)
    verdict = None if picking.test is None else judge_all(picking.test)
    code = NOTHING_QUALIFIES if verdict is None else EXIT_CODES[verdict]
    if as_json:
        print(json.dumps(_json(picking, verdict, code), indent=2, default=str))
        return code
    console = open_console()
    for line in _words(picking, verdict):
        console.print(line)
    return code


def _words(picking: Picking, verdict: Verdict | None) -> list[Text]:
    summary, point = picking.summary, picking.point
    lines = [] if summary.notice is None else [Text(summary.notice, style="bold red")]
    if point is None or picking.test is None or verdict is None:
        return [*lines, Text(f"fails: {choices.why(summary, picking.choice)}", style="red")]
    lines.append(Text(f"{choices.title(point)}, chosen on val"))
    lines += [Text(f"{judge(one)} on test: {_limit(one)}") for one in picking.test]
    style = {"holds": "green", "fails": "red", "open": "yellow"}[verdict]
    lines.append(Text(f"{verdict}: {_MEANINGS[verdict]}", style=style))
    return lines


_MEANINGS: dict[Verdict, str] = {
    "holds": "the whole interval keeps every limit",
    "fails": "no part of an interval keeps its limit",
    "open": "an interval covers its limit; more test items would narrow it",
}


def _limit(one: Reached) -> str:
    what, how = ("lost ", "95 %, paired with θ0") if one.floor.relative else ("", "95 %")
    return f"{choices.limit_words(one.floor)}: {what}{choices.reached_cells(one)} ({how})"


def _json(picking: Picking, verdict: Verdict | None, code: int) -> dict[str, object]:
    tested = picking.test or ()
    return {
        "sweep": picking.summary.name,
        "verdict": verdict or "fails",
        "exit_code": code,
        "picked": picking_json(picking)["picked"],
        "limits": [floor_json(one.floor) | {"test": reached_json(one), "verdict": judge(one)} for one in tested],
        "reason": None if verdict else choices.why(picking.summary, picking.choice),
        "notice": picking.summary.notice,
    }
