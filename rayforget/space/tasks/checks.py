"""Rules between a foundation, its tasks and its recipes: kinds that fit, something to learn and to score."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rayforget.space.foundation import rules_of
from rayforget.space.frozen import Problem

if TYPE_CHECKING:
    from rayforget.space.parts import SpaceParts


def task_problems(space: "SpaceParts", *, trained: bool = True) -> Iterator[Problem]:
    """Tasks of a kind that the foundation does not fit, roles without a task, and nothing or too much to train on.

    Nothing need be there to train on if nothing is `trained`.
    """
    misfits = list(_misfits(space))
    yield from misfits
    roles = {task.role for task in space.tasks.values() if task.is_scored}
    for role in ("speciality", "generality"):
        if role not in roles:
            yield Problem(at=("tasks",), text=_without(space, role))
    if not trained or misfits or not any(task.role == "speciality" for task in space.tasks.values()):
        return
    yield from rules_of(space.foundation.kind).training_problems(space.tasks)


def recipe_misfits(space: "SpaceParts") -> Iterator[Problem]:
    """Settings of recipes that have no effect on the space's kind of foundation."""
    kind = space.foundation.kind
    without_effect = rules_of(kind).without_effect
    for at, tree in _recipe_trees(space).items():
        for key, why in without_effect.items():
            if key in tree:
                text = f"has no effect with foundation.kind: {kind} ({why}): remove it"
                yield Problem(at=(*at, key), text=text)


def _recipe_trees(space: "SpaceParts") -> dict[tuple[str, ...], Mapping[str, Any]]:
    trees: dict[tuple[str, ...], Mapping[str, Any]] = {("recipe",): space.recipe, ("plain", "set"): space.plain.set}
    return trees | {("methods", name): tree for name, tree in space.methods.items()}


def sharding_misfits(space: "SpaceParts") -> Iterator[Problem]:
    """Sharding with only one worker, or of a base in 4 bits."""
    if space.resources.sharding == "fsdp":
        for at, tree in _recipe_trees(space).items():
            adapter = tree.get("adapter")
            if isinstance(adapter, Mapping) and adapter.get("base", "full") != "full":
                text = "found nf4 with resources.sharding: fsdp, which shares out weights in full precision alone"
                yield Problem(at=(*at, "adapter", "base"), text=f"{text}: write sharding: none, or base: full")
    if space.resources.sharding == "fsdp" and space.resources.workers_per_slot == 1:
        text = "found fsdp with workers_per_slot: 1, which has nobody to share with: write none, or more workers"
        yield Problem(at=("resources", "sharding"), text=text)


def _misfits(space: "SpaceParts") -> Iterator[Problem]:
    kind = space.foundation.kind
    fitting = rules_of(kind).tasks
    expected = " or ".join([", ".join(fitting[:-1]), fitting[-1]] if len(fitting) > 1 else fitting)
    for name, task in space.tasks.items():
        if task.kind not in fitting:
            text = f"found {task.kind} with foundation.kind: {kind}; write {expected}"
            yield Problem(at=("tasks", name, "kind"), text=text)


def _without(space: "SpaceParts", role: str) -> str:
    if any(task.role == role for task in space.tasks.values()):
        return f"none with role: {role} is scored; give at least one of them `val:` and `test:` (or `cut:`)"
    return f"none has role: {role}; at least one task of each role is needed"
