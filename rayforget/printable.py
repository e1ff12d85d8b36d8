"""Text that somebody else wrote (names of files, errors of libraries) -> text that only shows, and does nothing.

Terminals obey what follows an escape character, and marks of direction make a text read other than it is; half
characters (lone surrogates, as Python makes of file names that are not UTF-8) cannot be written at all.
"""

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with a picture in place of each such character; line breaks and tabs stay, and so does its length."""
    return _OBEYED.sub(_picture, text)


def one_line(text: str) -> str:
    """A name: `printable`, and without line breaks and tabs, so that it cannot look like lines of ours."""
    return printable(text).replace("\n", "\u240a").replace("\t", "\u2409")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else "\ufffd"
