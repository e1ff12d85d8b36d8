"""A causal language model's weights and prompts -> greedy answers, in batches and with transformers' key-value cache.

An answer ends before the first of its prompt's `until` texts, before an end token, or after `max_new_tokens`: what
lm-eval's HFLM gives one prompt at a time with `do_sample=False`. Batches are filled up on the left, and rounding can
turn a step at which two tokens are equally likely; else an answer depends on no other prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.errors import TaskError
from rayforget.foundations.protocol import State
from rayforget.heartbeat import beat
from rayforget.tasks.text.types import Generations

if TYPE_CHECKING:  # what it works on comes as an argument; evaluation itself needs no model library
    from rayforget.foundations.causal_lm import CausalLm

_LOOK_BACK = 2
"""Tokens beyond those of an `until` text in which it is looked for: it may be written with other tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model goes on with."""

    texts: tuple[str, ...]
    """Per prompt, in their order."""
    finite: NDArray[np.bool_]
    """Per prompt, whether all logits were finite; a text means nothing otherwise."""


@torch.inference_mode()
def generate(model: "CausalLm", theta: State, generations: Generations, *, batch_tokens: int) -> Answers:
    """Answers to all prompts; the ranks share the batches, and every rank gets the whole result.

    Args:
        model: theta_0.
        theta: tensors that differ from theta_0, under canonical names.
        generations: what is asked; the same on every rank. A prompt is cut on the left until its answer has room.
        batch_tokens: prompts times the longest (with its answer) are at most so many, unless it is a single one.

    Raises:
        TaskError: an answer may be as long as the model's input, or longer.
    """
    prompts = _fitted(generations, model.max_length)
    if not prompts:
        return Answers(texts=(), finite=np.zeros(0, dtype=np.bool_))
    weights = model.weights(theta)
    portions = _portions(prompts, generations.max_new_tokens, batch_tokens=batch_tokens, max_length=model.max_length)
    # A column more tells whether all was finite; tokens are kept plus 1, so that 0 is "no token".
    found = torch.zeros(len(prompts), max(generations.max_new_tokens) + 1, dtype=torch.int64)
    for numbers in portions[rank() :: world_size()]:
        answers, finite = _answer(model, weights, prompts, numbers, generations)
        for number, answer in zip(numbers, answers, strict=True):
            found[number, : len(answer)] = torch.tensor(answer, dtype=torch.int64) + 1
        found[numbers, -1] = finite.long()
    found = all_reduce_sum(found.to(model.device)).cpu()
    texts = [
        _text(model.tokenizer, (row[row > 0] - 1).tolist(), until)
        for row, until in zip(found[:, :-1], generations.until, strict=True)
    ]
    return Answers(texts=tuple(texts), finite=found[:, -1].bool().numpy())


def _fitted(generations: Generations, max_length: int) -> list[NDArray[np.int32]]:
    prompts = []
    for prompt, answer in zip(generations.prompts, generations.max_new_tokens, strict=True):
        if answer >= max_length:
            raise TaskError(
                f"an answer may have {answer} tokens, the model takes {max_length} with the prompt; "
                "lower the task's max_gen_toks or use a model with more positions"
            )
        prompts.append(prompt[-(max_length - answer) :])
    return prompts


def _portions(
    prompts: Sequence[NDArray[np.int32]], answers: Sequence[int], *, batch_tokens: int, max_length: int
) -> list[list[int]]:
    """Which prompts are answered together, longest first."""
    order = sorted(range(len(prompts)), key=lambda number: (-len(prompts[number]) - answers[number], number))
    portions: list[list[int]] = []
    for number in order:
        wider = [*(portions[-1] if portions else []), number]
        # The longest prompt and the longest answer may be of two different prompts; all rows go as far as their sum.
        width = max(len(prompts[each]) for each in wider) + max(answers[each] for each in wider)
        if portions and len(wider) * width <= batch_tokens and width <= max_length:
            portions[-1].append(number)
        else:
            portions.append([number])
    return portions


def _answer(
    model: "CausalLm",
    weights: dict[str, Tensor],
    prompts: Sequence[NDArray[np.int32]],
    numbers: Sequence[int],
    generations: Generations,
) -> tuple[list[list[int]], Bool[Tensor, " r"]]:
    """Tokens of the answers of these prompts, and whether all logits were finite (on CPU)."""
    width = max(len(prompts[number]) for number in numbers)
    tokens = torch.full((len(numbers), width), model.pad_token)
    seen = torch.zeros(len(numbers), width, dtype=torch.int64)
    for row, number in enumerate(numbers):
        start = width - len(prompts[number])
        tokens[row, start:] = torch.from_numpy(prompts[number].astype(np.int64))
        seen[row, start:] = 1
    watch = _Watch(model, generations, numbers, width)
    settings: dict[str, Any] = {
        "input_ids": tokens.to(model.device),
        "attention_mask": seen.to(model.device),
        "max_new_tokens": max(watch.limits),
        "do_sample": False,
        "use_cache": True,
        "pad_token_id": model.pad_token,
        "eos_token_id": watch.ends,
        "logits_processor": [watch.look],
        "stopping_criteria": [watch.stop],
    }
    made: Tensor = functional_call(_Generate(model.head.lm), weights, kwargs=settings)
    answers = [answer[:length] for answer, length in zip(made[:, width:].tolist(), watch.lengths, strict=True)]
    return answers, watch.finite.cpu()


class _Generate(nn.Module):
    """transformers' `generate` as a forward, so that `functional_call` swaps the weights under it."""

    def __init__(self, lm: nn.Module) -> None:
        super().__init__()
        self.lm = lm

    def forward(self, **kwargs: Any) -> Tensor:
        made: Tensor = self.lm.generate(**kwargs)  # type: ignore[operator]
        return made


class _Watch:
    """Looks on while a batch is generated: says which rows are done, and notes logits that are not finite."""

    def __init__(self, model: "CausalLm", generations: Generations, numbers: Sequence[int], width: int) -> None:
        self._tokenizer, self._width = model.tokenizer, width
        self._untils = [[text for text in generations.until[number] if text] for number in numbers]
        self._windows = [
            max((len(self._tokenizer.encode(text, add_special_tokens=False)) for text in until), default=0) + _LOOK_BACK
            for until in self._untils
        ]
        self._done = [False] * len(numbers)
        self.limits = [generations.max_new_tokens[number] for number in numbers]
        self.lengths = list(self.limits)
        self.ends = _end_tokens(model)
        self.finite = torch.ones(len(numbers), dtype=torch.bool)

    def look(self, input_ids: Int[Tensor, "r l"], scores: Float[Tensor, "r v"]) -> Float[Tensor, "r v"]:
        """A logits processor that changes nothing; -inf is how others forbid a token."""
        broken = (scores.isnan() | (scores == torch.inf)).any(dim=1) | (scores == -torch.inf).all(dim=1)
        self.finite = self.finite.to(scores.device) & ~broken
        return scores

    def stop(self, input_ids: Int[Tensor, "r l"], scores: Any, **_: Any) -> Bool[Tensor, " r"]:
        """A stopping criterion: which rows are done."""
        made = input_ids.shape[1] - self._width
        beat("generate", made, max(self.limits))
        tails = input_ids[:, -min(made, max(self._windows)) :].tolist()
        for row, tail in enumerate(tails):
            if not self._done[row] and self._ends(row, tail, made):
                self._done[row], self.lengths[row] = True, made
        return torch.tensor(self._done, device=input_ids.device)

    def _ends(self, row: int, tail: list[int], made: int) -> bool:
        if made >= self.limits[row] or tail[-1] in self.ends:
            return True
        if not self._untils[row]:
            return False
        text = self._tokenizer.decode(tail[-self._windows[row] :])
        return any(until in text for until in self._untils[row])


def _end_tokens(model: "CausalLm") -> list[int]:
    """The model's end token, and those that its generation_config.json adds."""
    configured = getattr(getattr(model.head.lm, "generation_config", None), "eos_token_id", None)
    more = configured if isinstance(configured, list) else [] if configured is None else [configured]
    return [model.eos_token, *(token for token in more if token != model.eos_token)]


def _text(tokenizer: Any, tokens: Sequence[int], until: Sequence[str]) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=True)
    for end in filter(None, until):
        text = text.split(end)[0]
    return text
