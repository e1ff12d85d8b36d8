"""A task -> the text that stands between its prompt and its answer, alike in training and scoring."""

from rayforget.space.tasks.text import ChatTask, InstructionTask, MultipleChoiceTask, TextTask

SPACE = " "
"""lm-eval's own delimiter."""


def delimiter_of(task: TextTask) -> str:
    """The declared delimiter; else one space, or nothing after a prompt that ends with a line break.

    Nothing too with a chat template, which writes what stands there.
    """
    if isinstance(task, ChatTask):
        return ""
    if not isinstance(task, MultipleChoiceTask | InstructionTask):
        return SPACE
    if task.chat_template:
        return ""
    if task.delimiter is not None:
        return task.delimiter
    return "" if task.prompt.rstrip(" ").endswith("\n") else SPACE


def identity_of(task: TextTask) -> list[str]:
    """What a task's delimiter adds to the hash of its documents; nothing for a space."""
    delimiter = delimiter_of(task)
    return [] if delimiter == SPACE else [f"delimiter {delimiter!r}"]
