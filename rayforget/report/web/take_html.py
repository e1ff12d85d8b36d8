"""The picked point -> the commands that choose and export it, to be copied."""

import shlex
from html import escape

from rayforget.frontier.limits import MAX_FORGETTING
from rayforget.frontier.summary import Summary
from rayforget.record.command import command
from rayforget.report.web.html import Section, section
from rayforget.report.words.numbers import headline_pick, name_point


def take_html(summary: Summary, storage: str) -> Section | None:
    """Commands for this pick, for another budget, and for a point of one's own choice; None without a pick."""
    picked = headline_pick(summary)
    if picked is None:
        return None
    point, name = summary.points[picked.index], shlex.quote(summary.name)
    chosen = shlex.quote(point.key.text)
    offered = [
        ("this pick as a folder that its library loads", f"export {name} FOLDER"),
        ("another budget, and why its point", f"pick {name} --max-forgetting 2"),
        ("a point by its name: trial, step, path, α", f"export {name} --point {chosen} FOLDER"),
    ]
    budget = f"The best speciality for at most {100 * MAX_FORGETTING:g} point of generality, chosen on val:"
    lines = [
        f"<li><span>{escape(what)}</span><code>{escape(command(words, storage))}</code>"
        '<button type="button" class="copy">copy</button></li>'
        for what, words in offered
    ]
    told = f"<p>{escape(budget)} <b>{escape(name_point(point))}</b>.</p>"
    return section("take", "Take it", told, f'<ul class="commands">{"".join(lines)}</ul>')
