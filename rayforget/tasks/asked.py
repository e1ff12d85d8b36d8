"""Opened tasks -> the class names and prompts by which they are scored, and how many items are learnt from."""

from dataclasses import dataclass

from rayforget.tasks.opening import Opened
from rayforget.tasks.resolved import ResolvedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The texts of a zero-shot classifier."""

    class_names: tuple[str, ...]
    """In the order of the labels."""
    templates: tuple[str, ...]
    """With {} for the name."""


def prompts_of(tasks: Opened) -> dict[str, Prompts]:
    """Each task of images with classes -> its classes and templates; empty for a language model."""
    return {
        name: Prompts(class_names=task.class_names, templates=task.templates)
        for name, task in tasks.items()
        if isinstance(task, ResolvedTask) and task.retrieval is None
    }


def training_items(tasks: Opened) -> dict[str, int]:
    """Each task with a training set -> how many items this machine has of it."""
    return {
        name: task.splits["train"].expected_count
        if isinstance(task, ResolvedTask)
        else len(task.splits["train"].documents)
        for name, task in tasks.items()
        if "train" in task.splits
    }
