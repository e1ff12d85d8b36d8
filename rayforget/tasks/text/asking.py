"""A task and its chat template -> how lm-eval is asked for its requests, and those of one document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.space.tasks.text import MultipleChoiceTask, TextTask
from rayforget.tasks.text.chat import Chat
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.foreign import told_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HowAsked:
    """Whose task it is, and what a chat template changes."""

    is_own: bool
    context: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of lm-eval's `fewshot_context`."""
    requests: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of lm-eval's `construct_requests`."""
    pairs: Mapping[str, bool] = field(default_factory=dict)
    """More arguments of `encode_pairs`."""


def how_asked(task: TextTask, chat: Chat | None) -> HowAsked:
    """What becomes of a task's requests with a chat template, or without one."""
    is_own = not isinstance(task, LmEvalTask)
    if chat is None:
        return HowAsked(is_own=is_own)
    if isinstance(task, LmEvalTask):
        requests = {"apply_chat_template": True, "chat_template": chat.as_lm_eval}
        context = {**requests, "fewshot_as_multiturn": task.fewshot_as_multiturn}
        return HowAsked(is_own=False, context=context, requests=requests)
    # Choices are asked for as lm-eval does, and what is learnt token by token as it is learnt.
    pairs = {"adds_marks": False, "moves_blanks": isinstance(task, MultipleChoiceTask)}
    return HowAsked(is_own=True, pairs=pairs)


def instances(judged: Any, index: int, document: Document, how: HowAsked) -> list[Any]:
    """lm-eval's requests for one document.

    Raises:
        TaskError: the task's templates or functions cannot make them; names the document.
    """
    with told_of(document.name, "make its prompt and answers"):
        context = judged.fewshot_context(
            document.values,
            num_fewshot=judged.config.num_fewshot or 0,
            gen_prefix=judged.doc_to_prefix(document.values),
            **how.context,
        )
        made = judged.construct_requests(
            doc=document.values,
            ctx=context,
            metadata=(judged.config.task, index, judged.config.repeats),
            **how.requests,
        )
        return made if isinstance(made, list) else [made]
