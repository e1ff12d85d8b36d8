"""A summary -> the sentences and numbers that people read: percent with one decimal."""

from dataclasses import dataclass

from rayforget.frontier.intervals import Interval
from rayforget.frontier.limits import MAX_FORGETTING, Limits
from rayforget.frontier.pick import pick_point
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint
from rayforget.frontier.recovered import Pair, Recovered
from rayforget.frontier.summary import OneTraining, Summary
from rayforget.record.standing import Standing
from rayforget.report.words.plain import baseline_name, mean_of_seeds, of_baseline, plain_is_given, recovered_meaning
from rayforget.space.path_text import LERP


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The best point within the budget: picked on `val`, measured against theta_0 on `split`."""

    index: int
    """Index into the summary's points."""
    gain: float
    """S - S(theta_0)."""
    loss: float
    """G(theta_0) - G."""
    errors: Pair | None
    """Standard errors of gain and loss, paired."""
    split: str
    """`test` if both were scored on it, else `val`."""


def headline_pick(summary: Summary) -> Picked | None:
    """The best speciality that loses at most one point of generality; None if no such point beats theta_0."""
    index = pick_point(summary, Limits()).index
    if index is None:
        return None
    before, after, split = summary.theta_0.val, summary.val[index], "val"
    if summary.theta_0.test is not None and index in summary.test:
        before, after, split = summary.theta_0.test, summary.test[index], "test"
    gain, loss = after.speciality - before.speciality, before.generality - after.generality
    return Picked(index=index, gain=gain, loss=loss, errors=after.difference_errors, split=split)


def read(summary: Summary) -> tuple[str, str, str]:
    """The sweep's findings: the cost of fine-tuning, what one point of generality buys, and what is recovered."""
    return (_read_plain(summary), _read_pick(summary), _read_recovered(summary))


def _read_plain(summary: Summary) -> str:
    if summary.plain_failed is not None:
        return f"No plain fine-tuning has succeeded, so nothing can be said of what it cost: {summary.plain_failed}"
    if summary.plain is None:
        return "Plain fine-tuning is not measured yet, so nothing can be said of what it cost."
    before, after, split = summary.theta_0.val, summary.plain.val, "val"
    if summary.theta_0.test is not None and summary.plain.test is not None:
        before, after, split = summary.theta_0.test, summary.plain.test, "test"
    gain, loss = after.speciality - before.speciality, before.generality - after.generality
    change = describe_change(gain, loss, after.difference_errors)
    many = f" ({mean_of_seeds(summary)})" if len(summary.plain.points) > 1 or not plain_is_given(summary) else ""
    return f"On {split}, {baseline_name(summary)}{many} {change}."


def _read_pick(summary: Summary) -> str:
    picked = headline_pick(summary)
    budget = f"at most {100 * MAX_FORGETTING:g} point of generality"
    if picked is None:
        return f"No point gains speciality and loses {budget}."
    change = describe_change(picked.gain, picked.loss, picked.errors)
    point = name_point(summary.points[picked.index])
    chosen = " (chosen on val)" if picked.split == "test" else ""
    return f"The best point that loses {budget}{chosen} is {point}; on {picked.split} it {change}."


def _read_recovered(summary: Summary) -> str:
    found, split = summary.recovery.test or summary.recovery.val, summary.split
    if found is None and summary.plain_failed is not None:
        return "What the frontier recovers cannot be said without a plain fine-tuning that succeeds."
    if found is None:
        return "What the frontier recovers will be known with the plain baseline."
    if found.value is None:
        area, reason = format_area(found.hypervolume), of_baseline(found.reason or "", summary)
        return f"Recovered is undefined: {reason} ({split}). The frontier's hypervolume is {area}."
    value = format_recovered(found, summary.recovery.interval)
    where = "test" if split == "test" else "val (optimistic)"
    return f"Recovered on {where}: {value}; 1 is {recovered_meaning(summary)}."


def name_point(point: FrontierPoint) -> str:
    """`l2 at α = 0.6, trial t0012, 50 % of its training`."""
    early = "" if point.fraction in (0, 1) else f", {percent(point.fraction, 0)} % of its training"
    return f"{name_method(point.method)} at {name_alpha(point)}, trial {point.trial}{early}"


def name_alpha(point: FrontierPoint) -> str:
    """`α = 0.6`; on a path other than the lerp `α = 0.6 of lines(gamma=0.5)`."""
    return f"α = {point.alpha:g}" + ("" if point.path == LERP else f" of {point.path}")


def trainings_word(standing: Standing) -> str:
    """What a sweep is made of: `trainings`, or the `models` that it was given, with their soups."""
    return "models" if standing.given else "trainings"


def stale_notice(standing: Standing) -> str | None:
    """The first words of a report while an earlier one is stale; None if none is."""
    if not standing.report_is_stale:
        return None
    ended = len(standing.done) + len(standing.failed)
    if standing.records_lost:
        return (
            f"Stale: records were deleted after a first report, {ended} of {standing.total} "
            f"{trainings_word(standing)} are recorded to their end; resume the sweep, it makes the missing ones again; "
            "until then the scores on test are the first report's."
        )
    cause = "failed trainings are tried again" if standing.tried_again else "more trainings were asked for"
    return (
        f"Stale: {cause} after a first report, {ended} of {standing.total} are done; "
        "scores on test are the first report's until the sweep ends."
    )


def describe_change(gain: float, loss: float, errors: Pair | None) -> str:
    """`gained 8.3 ± 1.2 points of speciality and lost 9.1 ± 0.9 of generality`, whatever the signs."""
    gain_error, loss_error = errors or (None, None)
    special = f"{'gained' if gain >= 0 else 'lost'} {format_measure(abs(gain), gain_error)} points of speciality"
    general = f"{'lost' if loss >= 0 else 'gained'} {format_measure(abs(loss), loss_error)} of generality"
    return f"{special} and {general}"


def percent(share: float, decimals: int = 1) -> str:
    """`0.583` -> `58.3`; never `-0.0`."""
    text = f"{100 * share:.{decimals}f}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")


def signed(difference: float) -> str:
    """A difference of scores in points: `0.0123` -> `+1.2`, `-0.0004` -> `0.0`."""
    text = percent(difference)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def format_duration(seconds: float) -> str:
    """`8 s`, `12 min`, `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.2g} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def format_measure(value: float, error: float | None) -> str:
    """`58.3 ± 3.1`."""
    return percent(value) if error is None else f"{percent(value)} ± {percent(error)}"


def format_area(hypervolume: float) -> str:
    """A hypervolume in square points of a percent."""
    return f"{1e4 * hypervolume:.1f} pp²"


def format_recovered(found: Recovered | None, interval: Interval | None = None) -> str:
    """`1.61 [1.42, 1.91]`; `—` if it is not measured; the hypervolume if it is undefined."""
    if found is None:
        return "—"
    if found.value is None:
        return f"({format_area(found.hypervolume)})"
    return _with_interval(found.value, interval)


def format_one_training(found: OneTraining | None) -> str:
    """`0.71 [0.35, 1.08]`; `—` if it is undefined or not measured."""
    return "—" if found is None else _with_interval(found.mean, found.interval)


def _with_interval(value: float, interval: Interval | None) -> str:
    if interval is None:
        return f"{value:.2f}"
    if interval.low is None or interval.high is None:
        return f"{value:.2f} [undefined]"
    return f"{value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def name_method(method: str) -> str:
    """A method's name in reports."""
    return {THETA_0: "θ0", PLAIN: "plain"}.get(method, method)
