"""A summary's paths -> the words and cells of the table of what each of them adds."""

from rayforget.frontier.summary import PathSummary

TITLE = "Paths"
NOTE = "over all methods and plain; the lerp and paths with a grid on the same α, so at equal numbers of models"
HEADS = ("path", "models", "alone\ntest [95 %]", "\nval*", "with the lerp's\ntest [95 %]", "\nval*")


def path_cells(path: PathSummary) -> list[str]:
    """The path, and the number of models scored for it."""
    return [f"{path.path}, searched" if path.searched else path.path, str(path.models)]
