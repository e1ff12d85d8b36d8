"""A budget of GPU hours -> what a user is told of it: before a sweep how far it carries, and when it has ended one."""

from rayforget.record.command import command, resuming
from rayforget.record.gpu_budget import GpuBudget

Range = tuple[float, float]
"""Least and most."""


def ended_by_budget(budget: GpuBudget, *, ended: int, total: int, name: str, storage: str, address: str | None) -> str:
    """The last words of a sweep whose budget is used up."""
    more = f"{resuming(name, address)} --set resources.max_gpu_hours={2 * budget.hours:g}"
    return (
        f"ended by its budget: {budget.words} are spent (resources.max_gpu_hours), {ended} of {total} trainings ended; "
        f"with more hours it goes on: {command(more, storage)}"
    )


def how_far(hours: float, needed: Range | None, trainings: int) -> str:
    """How far a budget carries.

    Args:
        hours: the budget.
        needed: GPU hours of all trainings; None if nothing could be timed.
        trainings: their number, with the baselines.
    """
    if needed is None:
        return f"{hours:g} GPU hours; how far they carry is unknown, since nothing was timed on a GPU"
    low, high = needed
    whole = f"the {trainings} trainings take about {_range(low, high)}"
    if hours >= high:
        return f"{hours:g} GPU hours are enough: {whole}"
    fewest, most = (min(trainings, int(trainings * hours / each)) if each > 0 else trainings for each in (high, low))
    number = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return f"{hours:g} GPU hours carry about {number} trainings, and then the sweep ends: {whole}"


def _range(low: float, high: float) -> str:
    first, last = f"{low:.2g}", f"{high:.2g}"
    return first if first == last else f"{first} to {last}"
