"""The space file as a checked, frozen object: what to train, on what, how often, where, and what to keep."""

from collections.abc import Iterable

from rayforget.space.checks import space_problems
from rayforget.space.frozen import Problem
from rayforget.space.parts import SpaceParts


class Space(SpaceParts):
    """One space file: what to train, on what, how often, where, and what to keep."""

    def problems(self) -> Iterable[Problem]:
        """Contradictions between the parts."""
        return space_problems(self)
