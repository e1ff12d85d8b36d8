"""Figures of one part -> lines for people and for the process that makes the table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan

_MARK = "@row "


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure, what it stands beside, and what is asked of it."""

    part: str
    what: str
    ours: float
    unit: str
    """One that ends with /s is better if larger, one of seconds or a share of idling if smaller."""
    peer: str | None = None
    theirs: float | None = None
    target: float | None = None
    """Of the ratio if there is a peer, else of the figure."""
    at_most: bool = False
    """Whether the target is an upper limit."""

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the peer; None without one."""
        if not self.theirs or isnan(self.theirs) or isnan(self.ours):
            return None
        return self.ours / self.theirs if self.unit.endswith("/s") else self.theirs / self.ours

    @property
    def verdict(self) -> str:
        """Met or missed, or nothing if nothing is asked."""
        judged = self.ours if self.peer is None else self.ratio
        if self.target is None or judged is None:
            return ""
        return "met" if (judged <= self.target if self.at_most else judged >= self.target) else "missed"

    @property
    def cells(self) -> tuple[str, str, str, str, str, str, str]:
        """The row of the table."""
        limit = "" if self.target is None else f"{'≤' if self.at_most else '≥'} {self.target:g}"
        theirs = "" if self.theirs is None else _number(self.theirs)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (f"{self.part}: {self.what}", f"{_number(self.ours)} {self.unit}", self.peer or "", theirs, ratio, limit,
                self.verdict)  # fmt: skip


def tell(row: Row) -> None:
    """Prints the row for both."""
    print(_MARK + json.dumps(asdict(row)), flush=True)


def fail(part: str, what: str, why: str) -> None:
    """Prints what could not be measured."""
    print(f"{part}: {what} FAILED: {why}", flush=True)


def read(line: str) -> Row | None:
    """The row of a line, if it holds one."""
    return Row(**json.loads(line.removeprefix(_MARK))) if line.startswith(_MARK) else None


def table(rows: Sequence[Row]) -> str:
    """All rows in columns."""
    head = ("what", "ours", "beside", "theirs", "ratio", "target", "")
    lines = [head, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
