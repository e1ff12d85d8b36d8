"""What the program logs -> lines of the console."""

import logging

from rich.console import Console


def log_to(console: Console, *, verbose: bool) -> None:
    """Shows warnings, and with `verbose` what is done."""
    from rich.logging import RichHandler

    handler, ours = RichHandler(console=console, show_path=False, show_time=False), logging.getLogger("rayforget")
    for old in [each for each in ours.handlers if isinstance(each, RichHandler)]:  # of an earlier command here
        ours.removeHandler(old)
    ours.addHandler(handler)
    ours.setLevel(logging.INFO if verbose else logging.WARNING)
