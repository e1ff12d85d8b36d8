"""A task on images -> lines for people on its classes: how many images each split has of them, and the prompts."""

from collections.abc import Iterator

import numpy as np

from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.resolved import ResolvedTask

_NUM_PROMPTS = 2


def class_lines(task: ResolvedTask) -> Iterator[tuple[str, str]]:
    """(subject, what to say about it); nothing for images that have captions and no classes."""
    if task.retrieval is not None:
        return
    parts = {items.key.rpartition(".")[2]: items.source for items in task.splits.values()}
    counted = [] if task.several_labels else [f"; {part} {_counts(task, images)}" for part, images in parts.items()]
    yield "classes", f"tasks.{task.name}: {task.num_classes}{''.join(counted)}"
    prompts = [template.replace("{}", task.class_names[0]) for template in task.templates]
    more = f" and {len(prompts) - _NUM_PROMPTS} more" if len(prompts) > _NUM_PROMPTS else ""
    shown = ", ".join(f'"{prompt}"' for prompt in prompts[:_NUM_PROMPTS])
    yield "first prompts" if len(prompts) > 1 else "first prompt", f"tasks.{task.name}: {shown}{more}"


def _counts(task: ResolvedTask, images: LabelledImages) -> str:
    """`9 images, 2 (cat) to 7 (dog) a class`."""
    counts = np.bincount(images.labels[images.labels >= 0], minlength=task.num_classes)
    ends = [f"{counts[label]} ({_name(task, int(label))})" for label in (counts.argmin(), counts.argmax())]
    spread = f"{counts[0]} of each class" if counts.min() == counts.max() else f"{' to '.join(ends)} of a class"
    return f"{counts.sum()} {'image' if counts.sum() == 1 else 'images'}, {spread}"


def _name(task: ResolvedTask, label: int) -> str:
    names = task.class_names
    return names[label] if task.class_groups is None else " or ".join(names[i] for i in task.class_groups[label])
