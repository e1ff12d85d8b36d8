"""What the program logs -> lines of the console."""

import logging

from rich.console import Console


def log_to(console: Console, *, verbose: bool) -> None:
    """Shows warnings, and with `verbose` what is done."""
    from rich.logging import RichHandler

    handler = RichHandler(console=console, show_path=False, show_time=False)
    logging.getLogger("rayforget").addHandler(handler)
    logging.getLogger("rayforget").setLevel(logging.INFO if verbose else logging.WARNING)
