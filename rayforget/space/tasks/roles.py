"""A task's role and group -> what is wrong with them."""

from collections.abc import Iterable

from rayforget.space.frozen import Problem
from rayforget.space.tasks.data import Role


def role_problems(role: Role, group: str | None) -> Iterable[Problem]:
    """Generality without a group, and a speciality with one."""
    if role == "generality" and group is None:
        yield Problem(at=("role",), text="found role: generality without a group; add `group:`, e.g. common_sense")
    if role == "speciality" and group is not None:
        text = f"found {group} with role: speciality; only generality has groups: remove it"
        yield Problem(at=("group",), text=text)
