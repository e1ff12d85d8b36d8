"""A sweep while it runs: a live view on a terminal, plain lines anywhere else."""

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rayforget.frontier.points import FrontierPoint
from rayforget.printable import printable
from rayforget.report.words.numbers import name_alpha

_STOPPING = "stopping; what is finished is recorded; the workers end (up to a minute), and a report follows"
_SHOWN = 8
"""Number of best points in the view, which must fit into a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A sweep's progress."""

    done: int
    failed: int
    total: int
    recovered: float | None
    """On `val`, optimistic; None while plain fine-tuning is not measured, or if undefined."""
    frontier: Sequence[FrontierPoint]
    """The best points so far, ascending in speciality."""
    undefined: bool = False
    """Whether plain fine-tuning is measured and gained or lost nothing, within error."""
    last: str = ""
    """What finished last, in a few words."""


def open_console() -> Console:
    """A console on standard output; if that is no terminal, lines are wide enough for the tables.

    It prints text literally: error texts, paths and names come from elsewhere, and rich would take `[/tmp]` for its own
    markup, and raise, and `:x:` for a picture. Colour is set by a style.
    """
    console = PlainConsole(markup=False, emoji=False)
    return console if console.is_terminal else PlainConsole(width=max(110, console.width), markup=False, emoji=False)


class PlainConsole(Console):
    """A console on which no text can be more than text, wherever in a table or a line it stands."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments with a picture in place of each character that a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class LiveView:
    """Shows progress until it is closed; a context manager."""

    def __init__(self, console: Console, title: str, *, running: Callable[[], Sequence[str]]) -> None:
        """`running` returns the names of the running jobs whenever the view is drawn."""
        self._console, self._title, self._running = console, title, running
        self._progress: Progress | None = None
        self._note = "starting Ray and the first worker group"
        self._started = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._side_by_side = 1
        self._stopping = False
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(f"{self._title}: {self._note}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def note(self, text: str) -> None:
        """Shows a message about something other than the trials."""
        self._note = text
        if not self._console.is_terminal:
            self._console.print(text)

    def stopping(self) -> None:
        """Says that a Ctrl-C was heard."""
        if self._stopping:
            return
        self._stopping = True
        self.note(_STOPPING)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """A handler of SIGINT that says so before it interrupts."""
        self.stopping()
        signal.default_int_handler(number, frame)

    def warn(self, text: str) -> None:
        """Prints a line that stays; may be called from another thread."""
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def tell(self, text: str) -> None:
        """Prints a line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """Takes the newest state."""
        self._progress = progress
        self._side_by_side = max(self._side_by_side, len(self._running()) + 1)  # the job that ended ran beside these
        if self._first is None and progress.done:
            self._first = (progress.done, time.monotonic())
        if progress.done:
            self._note = "" if progress.done < progress.total else "all trainings are done; the report comes next"
        if not self._console.is_terminal:
            self._console.print(self._line(progress), highlight=False)

    def _eta_s(self, progress: Progress) -> float | None:
        """Seconds until the last training ends, from the pace since the first one ended.

        Trainings that run side by side end together, so one more that ended at once says nothing about the pace: it
        takes as many as run side by side.
        """
        if self._first is None or progress.done >= progress.total:
            return None
        since_first = progress.done - self._first[0]
        if since_first < self._side_by_side:
            return None
        return (time.monotonic() - self._first[1]) / since_first * (progress.total - progress.done)

    def _line(self, progress: Progress) -> str:
        eta = self._eta_s(progress)
        parts = [
            f"[{_clock(time.monotonic() - self._started)}] {progress.done}/{progress.total} trainings",
            f"{progress.failed} failed" if progress.failed else "",
            progress.last,
            f"recovered {_recovered(progress)} (val)" if _recovered(progress) else "",
            f"ETA {_clock(eta)}" if eta is not None else "",
        ]
        return "  ".join(part for part in parts if part)

    def _render(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text(f"{self._title}: {self._note}  {_clock(time.monotonic() - self._started)}")
        eta = self._eta_s(progress)
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self._title, style="bold"),
            ProgressBar(total=progress.total, completed=progress.done, width=30),
            f"{progress.done}/{progress.total} done",
            f"{len(self._running())} running",
            Text(f"{progress.failed} failed", style="red" if progress.failed else "dim"),
            _clock(time.monotonic() - self._started),
            f"ETA {_clock(eta)}" if eta is not None else "",
        )
        value = _recovered(progress)
        recovered = f"recovered so far {value} (val, optimistic)" if value else ""
        under_way = f"running: {', '.join(self._running())}" if self._running() else self._note
        if self._stopping:
            under_way = _STOPPING
        return Group(head, Text(f"{under_way}   {recovered}", style="dim"), self._best(progress.frontier))

    @staticmethod
    def _best(frontier: Sequence[FrontierPoint]) -> RenderableType:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        shown = list(frontier)[-_SHOWN:]
        title = "best so far" if len(shown) == len(frontier) else f"best so far, {len(shown)} of {len(frontier)}"
        for name in (title, "trained", "α", "speciality, % on val", "generality, % on val"):
            table.add_column(name, justify="left" if name == title else "right")
        for point in shown:
            table.add_row(
                point.trial,
                f"{100 * point.fraction:g} %",
                name_alpha(point).removeprefix("α = "),
                f"{100 * point.speciality:.1f}",
                f"{100 * point.generality:.1f}",
            )
        return table


def _recovered(progress: Progress) -> str:
    """`0.91`, `undefined`, or nothing while it is unknown."""
    if progress.undefined:
        return "undefined"
    return "" if progress.recovered is None else f"{progress.recovered:.2f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
