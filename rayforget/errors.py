"""The errors that rayforget raises on purpose; a message says what was found, what was expected, and what to do."""

from rayforget.printable import one_line


class RayforgetError(Exception):
    """Base of every error that rayforget raises on purpose.

    Each argument is one line of the message, whatever names of files, and texts of libraries, are in it: line breaks
    and control characters in them are shown, so that no name looks like a line of ours or does anything to a terminal.
    """

    def __init__(self, *lines: object) -> None:
        super().__init__(*[one_line(str(line)) for line in lines])

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class SpaceError(RayforgetError, ValueError):
    """A space file, or something it points to, cannot be used as it is."""


class ExtensionError(RayforgetError, LookupError):
    """A name in a space stands for nothing, for two things, or for a package that cannot be imported."""


class BrokenExtensionError(ExtensionError):
    """Another package's extension is not what it must be, or one of its hooks failed."""


class FoundationError(RayforgetError, ValueError):
    """A foundation model cannot be loaded, or cannot be trained the way a recipe asks."""


class TaskError(RayforgetError, ValueError):
    """A task's data cannot be read, is broken beyond the stated limit, or contradicts itself."""


class RecordError(RayforgetError, RuntimeError):
    """A file of the record is missing, damaged, or contradicts another."""


class StorageError(RecordError, OSError):
    """The storage refuses: a full or read-only disk, a file in place of a folder, a server that does not answer."""

    transient = False
    """Whether the same request may succeed later."""


class TakenOverError(StorageError):
    """Another driver has taken over the sweep, or it was deleted: this driver and its workers may write no more."""


class TrainingError(RayforgetError, RuntimeError):
    """A training cannot go on: a number is not finite, a limit was passed."""
