"""What the fixtures that run commands are."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str]]
Says = Callable[..., int]
