"""What must hold between a foundation, its tasks and its recipes: kinds that fit, something to learn and to score."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rayforget.space.data import ZeroShotTask
from rayforget.space.frozen import Problem

if TYPE_CHECKING:
    from rayforget.space.models import Space

_IMAGES_ONLY = {
    "head": "a language model's own head is trained with it",
    "augmentation": "it changes images",
}
"""Fields of a recipe that nothing reads where the foundation is a language model, and why."""


def task_problems(space: "Space") -> Iterator[Problem]:
    """Tasks of another kind than the foundation, roles without a task, and nothing or too much to train on."""
    misfits = list(_misfits(space))
    yield from misfits
    roles = {task.role for task in space.tasks.values() if task.is_scored}
    for role in ("speciality", "generality"):
        if role not in roles:
            yield Problem(at=("tasks",), text=_without(space, role))
    if misfits or not any(task.role == "speciality" for task in space.tasks.values()):
        return
    trained = [name for name, task in space.tasks.items() if task.train is not None]
    if space.foundation.kind == "causal_lm":
        if not trained:
            yield Problem(at=("tasks",), text="found none with `train:`; at least one speciality task has it")
    elif len(trained) != 1:
        text = f"found {' and '.join(trained) or 'none'} with `train:`; exactly one speciality task has it"
        yield Problem(at=("tasks", *trained[1:2]), text=text)
    else:
        task = space.tasks[trained[0]]
        if isinstance(task, ZeroShotTask) and task.templates is None and task.suite is None:
            text = "has neither templates nor a suite that brings them; add `templates:`, e.g. ['a photo of a {}.']"
            yield Problem(at=("tasks", trained[0]), text=text)


def recipe_misfits(space: "Space") -> Iterator[Problem]:
    """Settings of recipes that have no effect on the space's kind of foundation."""
    if space.foundation.kind != "causal_lm":
        return
    trees = {("recipe",): space.recipe, ("plain", "set"): space.plain.set}
    trees |= {("methods", name): tree for name, tree in space.methods.items()}
    for at, tree in trees.items():
        for key, why in _IMAGES_ONLY.items():
            if key in tree:
                text = f"has no effect with foundation.kind: causal_lm ({why}): remove it"
                yield Problem(at=(*at, key), text=text)


def sharding_misfits(space: "Space") -> Iterator[Problem]:
    """Sharding of one worker."""
    if space.resources.sharding == "fsdp" and space.resources.workers_per_slot == 1:
        text = "found fsdp with workers_per_slot: 1, which has nobody to share with: write none, or more workers"
        yield Problem(at=("resources", "sharding"), text=text)


def _misfits(space: "Space") -> Iterator[Problem]:
    images = space.foundation.kind == "clip"
    for name, task in space.tasks.items():
        if isinstance(task, ZeroShotTask) != images:
            expected = "zero_shot" if images else "multiple_choice, instruction, text or lm_eval"
            text = f"found {task.kind} with foundation.kind: {space.foundation.kind}; write {expected}"
            yield Problem(at=("tasks", name, "kind"), text=text)


def _without(space: "Space", role: str) -> str:
    if any(task.role == role for task in space.tasks.values()):
        return f"none with role: {role} is scored; give at least one of them `val:` and `test:` (or `cut:`)"
    return f"none has role: {role}; at least one task of each role is needed"
