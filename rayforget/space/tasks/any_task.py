"""The kinds of tasks that a space may declare."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from rayforget.space.tasks.data import ZeroShotTask
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.space.tasks.retrieval import RetrievalTask
from rayforget.space.tasks.text import ChatTask, InstructionTask, MultipleChoiceTask, PlainTextTask

Task = Annotated[
    ZeroShotTask | RetrievalTask | MultipleChoiceTask | InstructionTask | ChatTask | PlainTextTask | LmEvalTask,
    Field(discriminator="kind"),
]


def image_tasks(tasks: Mapping[str, Task]) -> dict[str, ZeroShotTask | RetrievalTask]:
    """The tasks of images."""
    return {name: task for name, task in tasks.items() if isinstance(task, ZeroShotTask | RetrievalTask)}
