"""Failed trainings -> what failed them, with the traceback folded away."""

from html import escape

from rayforget.frontier.failures import Failure
from rayforget.report.web.html import Section, section

_MOST_NAMED = 6


def failures_html(failures: tuple[Failure, ...]) -> Section | None:
    """Each reason with its trainings; None if none failed."""
    if not failures:
        return None
    parts = [_failure(failure) for failure in failures]
    count = sum(len(failure.trials) for failure in failures)
    note = f"{count} training{'' if count == 1 else 's'} without a result, by what was recorded"
    return section("failures", "Failures", *parts, note=note)


def _failure(failure: Failure) -> str:
    named = ", ".join(failure.trials[:_MOST_NAMED])
    more = f" and {len(failure.trials) - _MOST_NAMED} more" if len(failure.trials) > _MOST_NAMED else ""
    who = f"{len(failure.trials)} × {', '.join(failure.methods)}: {named}{more}"
    told = f'<p><b>{escape(failure.reason)}</b></p>\n<p class="note">{escape(who)}</p>'
    if "\n" not in failure.whole:
        return told
    whole = f"<pre>{escape(failure.whole)}</pre>"
    return f"{told}\n<details><summary>all that was recorded of the first</summary>{whole}</details>"
