"""A prompt's rules and the tokens of its answer as they are made -> where the answer ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rayforget.foundations.causal_lm.model import CausalLm

_LOOK_BACK = 2
"""Tokens searched for an `until` text beyond its own number: it may be written with other tokens."""
LOOK_EVERY = 8
"""Steps between two searches for texts."""
NOT_FINITE = -1
"""Stands for a token whose logits were not finite."""


class Until:
    """The texts before which an answer ends."""

    def __init__(self, tokenizer: Any, texts: Sequence[str], end_tokens: Sequence[int]) -> None:
        """Leaves out what end tokens tell anyway, and empty texts.

        Args:
            tokenizer: the model's.
            texts: before which the answer ends.
            end_tokens: with which it ends.
        """

        def encoded(text: str) -> list[int]:
            tokens: list[int] = tokenizer.encode(text, add_special_tokens=False)
            return tokens

        self.texts = [text for text in texts if text and encoded(text) not in ([each] for each in end_tokens)]
        self._window = max((len(encoded(text)) for text in self.texts), default=0) + _LOOK_BACK
        self._tokenizer = tokenizer

    def first_end(self, answer: list[int], before: int, last: int) -> int | None:
        """The first number of tokens, after `before` and up to `last`, whose newest spell one of the texts."""
        if not self.texts or last <= before or not self._spelled(answer, before + 1, last):
            return None  # a text spelled by a part is also in the whole
        return next((step for step in range(before + 1, last + 1) if self._spelled(answer, step, step)), None)

    def _spelled(self, answer: list[int], first: int, last: int) -> bool:
        """Whether one of the texts is in the tokens `first` to `last` (from 1) and those shortly before."""
        text = self._tokenizer.decode(answer[max(0, first - self._window) : last])
        return any(until in text for until in self.texts)


@dataclass(slots=True, kw_only=True)
class OpenAnswer:
    """An answer that grows until one of its rules ends it."""

    until: Until
    end_tokens: frozenset[int]
    limit: int
    """Most tokens."""
    tokens: list[int] = field(default_factory=list)
    """With the end token, if one ended it."""
    done: bool = False
    finite: bool = True
    """Whether all logits were; otherwise its tokens are meaningless."""

    def extend(self, made: Sequence[int]) -> None:
        """Takes the next tokens up to its end; `NOT_FINITE` ends it too."""
        before = len(self.tokens)
        for token in made:
            if self.done:
                break
            if token == NOT_FINITE:
                self.done, self.finite = True, False
                break
            self.tokens.append(token)
            self.done = token in self.end_tokens or len(self.tokens) >= self.limit
        found = self.until.first_end(self.tokens, before, len(self.tokens))
        if found is not None:
            del self.tokens[found:]
            self.done = True


def end_tokens_of(model: CausalLm) -> list[int]:
    """The model's end token, and those that its generation_config.json adds."""
    configured = getattr(getattr(model.head.lm, "generation_config", None), "eos_token_id", None)
    more = configured if isinstance(configured, list) else [] if configured is None else [configured]
    return [model.eos_token, *(token for token in more if token != model.eos_token)]
