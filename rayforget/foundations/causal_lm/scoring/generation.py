"""A causal language model's weights and prompts -> greedy answers, in batches, with keys and values kept.

An answer ends before the first of its prompt's `until` texts, before an end token, or after `max_new_tokens`, as
lm-eval's HFLM gives it one prompt at a time with `do_sample=False`. Batches are padded on the left, and rounding can
flip a step at which two tokens are equally likely; otherwise an answer depends on no other prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.rows import eighth_up
from rayforget.foundations.causal_lm.scoring.cache_choice import LOOKING_BACK, keep_to_generate, takes_static_cache
from rayforget.foundations.causal_lm.scoring.growing_cache import answers_by_growing
from rayforget.foundations.causal_lm.scoring.rounded_weights import rounded_once
from rayforget.foundations.causal_lm.scoring.static_cache import answers_in_place
from rayforget.foundations.causal_lm.scoring.step_graph import CaptureError
from rayforget.foundations.protocol import State
from rayforget.tasks.text.types import Generations

_UNKNOWN_BYTES = 2**20
"""Of keys and values for a token: as many as a large model needs."""
_CACHE_BYTES = {"cpu": 2**30, "cuda": 2**34}
"""Size of keys and values in fp32, by device. A step reads all weights for one token of each row, so rows pay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A model's answers."""

    texts: tuple[str, ...]
    """Per prompt, in their order."""
    finite: NDArray[np.bool_]
    """Per prompt, whether all logits were finite; otherwise its text is meaningless."""


@torch.inference_mode()
def generate(model: CausalLm, theta: State, generations: Generations, *, batch_tokens: int) -> Answers:
    """Answers all prompts; the ranks share the batches, and every rank gets the whole result.

    Args:
        model: theta_0.
        theta: tensors that differ from theta_0, under canonical names.
        generations: the prompts, the same on every rank. A prompt is cut on the left until its answer has room.
        batch_tokens: bounds the number of prompts times the longest, unless there is only one. With their answers they
            may have more tokens, as long as their keys and values take little memory.

    Raises:
        TaskError: an answer may be at least as long as the model's input.
    """
    prompts = _fitted(generations, model.max_length)
    if not prompts:
        return Answers(texts=(), finite=np.zeros(0, dtype=np.bool_))
    weights = rounded_once(model, model.weights(theta))
    alike = _reads_padding(model)
    in_place = takes_static_cache(model)
    portions = _portions(
        prompts,
        generations.max_new_tokens,
        batch_tokens=batch_tokens,
        cache_tokens=_CACHE_BYTES["cpu" if model.device.type == "cpu" else "cuda"] // _bytes_per_token(model),
        max_length=model.max_length,
        switch=model.switch,
        alike=alike,
        rounded=in_place,
    )
    # An additional column tells whether all was finite; tokens are kept plus 1, so that 0 is "no token".
    found = torch.zeros(len(prompts), max(generations.max_new_tokens) + 1, dtype=torch.int64)
    for numbers in portions[rank() :: world_size()]:
        if in_place:
            try:
                answers, finite = answers_in_place(model, weights, prompts, numbers, generations)
            except CaptureError as error:
                keep_to_generate(model, error)
                in_place = False
        if not in_place:
            answers, finite = answers_by_growing(model, weights, prompts, numbers, generations)
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
    prompts: Sequence[NDArray[np.int32]],
    answers: Sequence[int],
    *,
    batch_tokens: int,
    cache_tokens: int,
    max_length: int,
    switch: int | None = None,
    alike: bool = False,
    rounded: bool = False,
) -> list[list[int]]:
    """Groups the prompts to be answered together, longest first.

    Args:
        prompts: token ids of each.
        answers: maximal length of each answer.
        batch_tokens: bound on the tokens of the prompts, which are read at once.
        cache_tokens: bound on the tokens of prompts and answers, whose keys and values are kept; at least
            `batch_tokens` are.
        max_length: the model's.
        switch: prompts are answered together only if none of their answers crosses this length.
        alike: only prompts of one length are answered together, so that none is padded.
        rounded: whether rows and columns will be rounded up; both bounds are then those of the rounded batch.
    """
    cache_tokens = max(cache_tokens, batch_tokens)
    order = sorted(range(len(prompts)), key=lambda number: (-len(prompts[number]) - answers[number], number))
    portions: list[list[int]] = []
    for number in order:
        wider = [*(portions[-1] if portions else []), number]
        # The longest prompt and the longest answer may belong to different prompts; all rows go as far as their sum.
        read = max(len(prompts[each]) for each in wider)
        width = read + max(answers[each] for each in wider)
        rows, columns, kept = len(wider), read, width
        if rounded:
            rows, columns, kept = eighth_up(rows), eighth_up(read), eighth_up(width)
        fits = rows * columns <= batch_tokens and rows * kept <= cache_tokens
        one_side = switch is None or width <= switch or min(len(prompts[each]) for each in wider) > switch
        one_length = not alike or len({len(prompts[each]) for each in wider}) == 1
        if portions and fits and one_side and one_length and width <= max_length:
            portions[-1].append(number)
        else:
            portions.append([number])
    return portions


def _reads_padding(model: CausalLm) -> bool:
    """Whether the model's generation_config.json has rules that look at all tokens so far, of which padding is one.

    Raises:
        TaskError: it asks for answers that are not greedy.
    """
    configured: Any = getattr(model.head.lm, "generation_config", None)
    if (beams := getattr(configured, "num_beams", None)) not in (None, 1):
        raise TaskError(
            f"the model's generation_config.json asks for num_beams: {beams}, and only greedy answers are supported; "
            "take the line out, or score likelihoods"
        )
    return any(getattr(configured, name, None) not in (None, unset) for name, unset in LOOKING_BACK.items())


def _bytes_per_token(model: CausalLm) -> int:
    """Bytes of keys and values in fp32, if the configuration tells them."""
    config: Any = model.head.lm.config
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim")
    try:
        layers, width, heads, shared, head_width = (getattr(config, name, None) for name in names)
    except RuntimeError:  # layers that differ, as Gemma 4's, tell of themselves alone
        return _UNKNOWN_BYTES
    if not (layers and width and heads):
        return _UNKNOWN_BYTES
    return int(2 * 4 * layers * (shared or heads) * (head_width or width // heads))


def _text(tokenizer: Any, tokens: Sequence[int], until: Sequence[str]) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=True)
    for end in filter(None, until):
        text = text.split(end)[0]
    return text
