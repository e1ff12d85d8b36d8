"""A name that is not there, and those that are -> the one that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, whatever their cases and the spaces around them; None if none is."""
    plain = {each.strip().casefold(): each for each in known}
    close = get_close_matches(name.strip().casefold(), plain, n=1)
    return plain[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'Answer'?`, or nothing."""
    found = nearest(name, known)
    return "" if found is None else f"; did you mean {found!r}?"
