"""A row that cannot be used -> the error that says so, and what the row has in common with others of its kind."""

from rayforget.errors import TaskError

UNREADABLE = "that cannot be read"


class UnusableRowError(TaskError):
    """A row that cannot be used."""

    def __init__(self, message: str, *, why: str) -> None:
        """Takes the message, and why in words that stand behind a number of rows: `without an answer`."""
        super().__init__(message)
        self.why = why


def why_of(error: BaseException) -> str:
    """Why an error's row cannot be used, whatever keys were put before the message."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, UnusableRowError):
            return found.why
        found = found.__cause__
    return "that cannot be used"
