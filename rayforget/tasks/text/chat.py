"""A tokenizer's chat template: messages -> the text before the assistant's turn, and the turn as it is learnt."""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from typing import Any

from rayforget.errors import TaskError
from rayforget.space.tasks.text import ChatTask, PlainTextTask, TextTask
from rayforget.tasks.text.conversations import Message
from rayforget.tasks.text.documents import canonical

logger = logging.getLogger(__name__)

_MISTAKES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What Python raises within a template, besides the template's own errors; of memory, for a text that nobody meant."""
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The last turn of a conversation, the assistant's. `prompt` and `learnt` together are the template's text, up to
    the turn's end mark."""

    prompt: str
    """All before it."""
    learnt: str
    """What the model is to write: the turn, up to and with its end mark."""
    scored: str
    """The turn without its end mark."""


class Chat:
    """The template of one tokenizer, with a space's settings."""

    def __init__(self, tokenizer: Any, settings: Mapping[str, Any]) -> None:
        """Takes the tokenizer's own template.

        Args:
            tokenizer: a tokenizer of transformers.
            settings: the template's own variables, e.g. `enable_thinking: false`.

        Raises:
            TaskError: the tokenizer has no template.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise TaskError(
                "the tokenizer has no chat template; take the chat model's tokenizer (chat_template.jinja, or "
                "chat_template in tokenizer_config.json), or write the prompt without one"
            )
        self._tokenizer, self._settings = tokenizer, dict(settings)
        self._told = False

    @cached_property
    def identity(self) -> str:
        """32 hex digits over the template, its settings and what it writes now, which may depend on the date."""
        try:
            probe = self._render([{"role": "user", "content": "?"}], None, add_generation_prompt=True)
        except TaskError as error:
            probe = str(error)
        parts = [self._tokenizer.chat_template, self._settings, self._tokenizer.special_tokens_map, probe]
        return sha256(canonical(parts)).hexdigest()[:32]

    def as_lm_eval(self, messages: list[Message], add_generation_prompt: bool = True) -> str:
        """The text of lm-eval's messages: `HFLM.apply_chat_template`, which gives up a system message that the template
        refuses; this is told once.

        Args:
            messages: what lm-eval asks.
            add_generation_prompt: false goes on with the last message, which begins the answer.
        """
        how = {"add_generation_prompt": add_generation_prompt, "continue_final_message": not add_generation_prompt}
        others = [message for message in messages if message["role"] != "system"]
        try:
            return self._render(messages, None, **how)
        except TaskError as error:
            if len(others) == len(messages) or not others:
                raise
            if not self._told:
                logger.warning("%s; as in lm-eval, prompts leave out the task's description", error)
                self._told = True
        return self._render(others, None, **how)

    def turn(self, messages: Sequence[Message], tools: list[Any] | None = None) -> Turn:
        """The last message as the assistant's turn.

        It is what the template puts between {% generation %} and {% endgeneration %}, or else what the whole has beyond
        the text that asks for an answer (`add_generation_prompt`).

        Raises:
            TaskError: the template refuses the messages, leaves out a part of them, or writes the turn after another
                text than it asks for answers with.
        """
        listed = list(messages)
        if _GENERATION.search(self._template(tools)):
            prompt, learnt = self._marked(listed, tools)
        else:
            prompt, learnt = self._beyond(listed, tools)
        self._refuse_left_out(listed, tools, prompt, learnt)
        self._refuse_two_ends(listed[-1], learnt)
        return Turn(prompt=prompt, learnt=learnt, scored=self._without_end(listed[-1], learnt))

    def _marked(self, messages: list[Message], tools: list[Any] | None) -> tuple[str, str]:
        """Prompt and turn by the template's own marks."""
        text, spans = self._with_spans(messages, tools)
        _, before = self._with_spans(messages[:-1], tools)
        own = spans[len(before) :]
        if not own or any(one[1] != other[0] for one, other in pairwise(own)):
            raise TaskError(
                f"the chat template marks {len(own)} parts of the assistant's last turn by {{% generation %}}, "
                "expected one; put the whole turn, up to its end mark, between {% generation %} and {% endgeneration %}"
            )
        return text[: own[0][0]], text[own[0][0] : own[-1][1]]

    def _beyond(self, messages: list[Message], tools: list[Any] | None) -> tuple[str, str]:
        """Prompt and turn by the text that asks for an answer; nothing is learnt behind the end mark."""
        prompt = self._render(messages[:-1], tools, add_generation_prompt=True)
        whole = self._render(messages, tools)
        if not whole.startswith(prompt):
            raise TaskError(
                f"the chat template asks for an answer with {prompt[-40:]!r} and writes the answered conversation "
                f"otherwise (...{whole[max(0, _common(prompt, whole) - 20) :][:60]!r}); mark the assistant's turn by "
                "{% generation %} in the template"
            )
        learnt = whole[len(prompt) :]
        return prompt, learnt.rstrip() if learnt.rstrip().endswith(self._marks) else learnt

    def _without_end(self, message: Message, learnt: str) -> str:
        """The turn up to the end of its text; if calls follow the text, up to the end mark."""
        said = str(message.get("content", ""))
        if not message.get("tool_calls"):
            said = said if said in learnt else said.strip()
            return learnt[: learnt.rindex(said) + len(said)]
        return learnt.rstrip().removesuffix(self._end_of(learnt))

    def _refuse_left_out(self, messages: list[Message], tools: list[Any] | None, prompt: str, learnt: str) -> None:
        for index, message in enumerate(messages[:-1]):
            said = str(message.get("content", "")).strip()
            # An earlier turn of the assistant may lose its thoughts: so it does when the model is used.
            if message["role"] != "assistant" and not any(text in prompt for text in _as_written(said)):
                raise TaskError(
                    f"the chat template leaves out message {index}, of role {message['role']} ({said[:60]!r}); take "
                    "the message out, or correct the template"
                )
        last = messages[-1]
        said = str(last.get("content", "")).strip()
        if tools and self._render(messages, tools) == self._render(messages, None):
            raise TaskError("the chat template does not write tools; write them into the system message, as text")
        if last.get("tool_calls") and self._render(messages, tools) == self._render(
            [*messages[:-1], {"role": "assistant", "content": said}], tools
        ):
            raise TaskError("the chat template does not write tool_calls; write the calls into `content`, as text")
        if said not in learnt or not learnt.strip():
            raise TaskError(
                f"the chat template leaves out a part of the assistant's turn: of {said[:60]!r} it writes "
                f"{learnt[:60]!r}; correct the row, or the template"
            )

    def _refuse_two_ends(self, last: Message, learnt: str) -> None:
        end = self._end_of(learnt)
        if end and str(last.get("content", "")).rstrip().endswith(end):
            raise TaskError(
                f"the assistant's turn ends with {end!r}, which the chat template writes too, so that it would be "
                "learnt twice; take it out of the text"
            )

    def _end_of(self, learnt: str) -> str:
        """The mark that ends a turn; nothing if the template writes none."""
        return max((mark for mark in self._marks if learnt.rstrip().endswith(mark)), key=len, default="")

    @cached_property
    def _marks(self) -> tuple[str, ...]:
        """Texts of tokens that stand for themselves, of which one ends a turn."""
        added = (token.content for token in self._tokenizer.added_tokens_decoder.values())
        return tuple(sorted({text for text in (*self._tokenizer.all_special_tokens, *added) if text.strip()}))

    def _template(self, tools: list[Any] | None) -> str:
        return str(self._tokenizer.get_chat_template(None, tools))

    def _render(self, messages: list[Message], tools: list[Any] | None, **how: Any) -> str:
        return str(
            _told(
                lambda: self._tokenizer.apply_chat_template(
                    messages, tools=tools, tokenize=False, **how, **self._settings
                )
            )
        )

    def _with_spans(self, messages: list[Message], tools: list[Any] | None) -> tuple[str, list[tuple[int, int]]]:
        """The text, and where the template's {% generation %} blocks begin and end in it."""
        from transformers.utils.chat_template_utils import render_jinja_template

        settings = {**self._tokenizer.special_tokens_map, **self._settings}
        texts, spans = _told(
            lambda: render_jinja_template(
                [messages],
                tools=tools,
                chat_template=self._template(tools),
                return_assistant_tokens_mask=True,
                **settings,
            )
        )
        return texts[0], spans[0]


def chat_of(task: TextTask, tokenizer: Any) -> Chat | None:
    """The template that a task asks for; None if its prompts are written without one.

    Raises:
        TaskError: the tokenizer has none.
    """
    if isinstance(task, PlainTextTask) or not (isinstance(task, ChatTask) or task.chat_template):
        return None
    return Chat(tokenizer, task.chat_settings)


def _told(render: Callable[[], Any]) -> Any:
    """What the template writes; its own refusals (`raise_exception`) and mistakes as errors for people."""
    from jinja2 import TemplateError

    try:
        return render()
    except (TemplateError, *_MISTAKES) as error:
        raise TaskError(f"the chat template refuses this conversation ({str(error) or type(error).__name__})") from None


def _as_written(text: str) -> tuple[str, str]:
    """A text, and the text as templates write it within JSON."""
    return text, json.dumps(text, ensure_ascii=False)[1:-1]


def _common(one: str, other: str) -> int:
    """Length of the longest common beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
