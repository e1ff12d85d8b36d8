"""A command line that is not understood, told as every other fault: what was typed only shows, on one line."""

import io
import sys
from typing import Any

import typer

MISTYPED: type[Exception] = typer.BadParameter.__bases__[0]
"""What the command line's parser raises: the base of its errors."""


def tell(error: Any) -> int:
    """Prints such an error, and gives its exit code; a command without the words that it needs prints its help."""
    from rayforget.printable import one_line

    shown = io.StringIO()
    error.show(file=shown)
    message = error.format_message()
    print(shown.getvalue().replace(f"Error: {message}", f"Error: {one_line(message)}"), file=sys.stderr, end="")
    return int(error.exit_code)
