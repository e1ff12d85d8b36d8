"""What the modules log -> lines on a command's console."""

import logging

from rich.console import Console

from rayforget.printable import one_line


class _OneLine(logging.Formatter):
    """A message is one line, whatever names of files are in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        return one_line(super().formatMessage(record))


def log_to(console: Console, *, verbose: bool) -> None:
    """Shows warnings from now on, and with `verbose` also what is only informative."""
    from rich.logging import RichHandler

    handler, ours = RichHandler(console=console, show_path=False, show_time=False), logging.getLogger("rayforget")
    handler.setFormatter(_OneLine("%(message)s"))
    for old in [each for each in ours.handlers if isinstance(each, RichHandler)]:  # of an earlier sweep of this process
        ours.removeHandler(old)
    ours.addHandler(handler)
    ours.setLevel(logging.INFO if verbose else logging.WARNING)
