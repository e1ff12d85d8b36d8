"""What a chosen point reaches on `test` -> whether it keeps its limits there.

This is the one place where `test` decides something: after the choice, which `val` made, and once, about that one
point. Nothing else is chosen by the answer, so `test` stays honest; whoever changes limits until a gate opens chooses
by it.
"""

from collections.abc import Sequence
from typing import Literal

from rayforget.frontier.limits import SLACK
from rayforget.frontier.paired import Reached

Verdict = Literal["holds", "fails", "open"]


def judge(reached: Reached) -> Verdict:
    """Whether the whole 95 % interval keeps the floor, none of it does, or the interval covers the floor (`open`)."""
    if reached.low >= reached.floor.least - SLACK:
        return "holds"
    return "fails" if reached.high < reached.floor.least - SLACK else "open"


def judge_all(reached: Sequence[Reached]) -> Verdict:
    """`fails` if one limit surely fails, `open` if one is undecided, else `holds`."""
    verdicts = {judge(one) for one in reached}
    return "fails" if "fails" in verdicts else "open" if "open" in verdicts else "holds"
