"""`rayforget status NAME`: a sweep's progress, what is unfinished, what failed and why, and how to go on."""

from rich.text import Text

from rayforget.commands.glance import date, glance, last_record
from rayforget.record.command import command, resuming
from rayforget.record.named_in import named_in
from rayforget.record.second_tries import may_be_tried_again
from rayforget.record.standing import Standing
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.terminal.live import open_console
from rayforget.report.words.numbers import stale_notice, trainings_word
from rayforget.report.words.remarks import tried_again_notice


def print_status(storage: str, name: str) -> None:
    """Shows a sweep's progress, what is unfinished, what failed and why, and how to go on.

    Raises:
        RecordError: there is no such sweep, or its record is damaged.
    """
    console = open_console()
    sweep = Sweep.open(Store.open(storage), name)
    standing, recovered, lacking = glance(sweep)
    weights = sweep.kept_weights()
    lines = [
        f"space {sweep.info.space_name}, started {date(sweep.info.created)}; {last_record(standing)}",
        f"{len(standing.done)} of {standing.total} {trainings_word(standing)} done, {len(standing.failed)} failed, "
        f"{len(standing.unfinished)} unfinished, {standing.total - _handed_out(standing)} not begun",
        f"{standing.num_points} points; test scores for {standing.reported - len(standing.untested)} of "
        f"{standing.reported} that the report wants now",
        f"weights of {len(weights)} checkpoint{'' if len(weights) == 1 else 's'} kept, "
        f"{sum(weights.values()) / 2**20:.1f} MiB",
        f"recovered {recovered.replace('val*', 'val (optimistic)')}",
    ]
    if lacking is not None:
        lines.append(f"recovered has no interval: {lacking}")
    console.print(Text(name, style="bold"))
    if (notice := stale_notice(standing)) is not None:
        lines.append(notice)
    for line in lines:
        console.print(Text(f"  {line}"))
    for trial, fraction in standing.unfinished.items():
        scored = f"recorded up to {100 * fraction:g} % of its training" if fraction else "no checkpoint recorded yet"
        console.print(Text(f"unfinished: {trial}: {scored}", style="yellow"))
    for trial, record in standing.failed.items():
        reason = (record.reason or "no reason recorded").split("\n", 1)[0]
        console.print(Text(f"failed: {trial}: {reason}{named_in(sweep, reason)}", style="red"))
        console.print(Text(f'  traceback: "reason" in {sweep.store}/points/{record.key}.json'))
    if may_be_tried_again(sweep, standing.failed):
        console.print(Text(tried_again_notice(name, storage)))
    if standing.gpu_budget is not None:
        console.print(Text(f"{standing.gpu_budget.words} spent{': ended by its budget' * standing.out_of_budget}"))
    if standing.finished:
        console.print(Text(f"finished; look at it: {command(f'frontier {name}', storage)}"))
    else:
        console.print(Text("not finished; the record does not tell whether a process is at work on it"))
        console.print(Text(f"if none is, go on with: {command(resuming(name), storage)}"))


def _handed_out(standing: Standing) -> int:
    return len(standing.done) + len(standing.failed) + len(standing.unfinished)
