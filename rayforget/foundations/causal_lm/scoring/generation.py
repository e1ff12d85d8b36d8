"""A causal language model's weights and prompts -> greedy answers, in batches, with transformers' key-value cache.

An answer ends before the first of its prompt's `until` texts, before an end token, or after `max_new_tokens`, as
lm-eval's HFLM gives it one prompt at a time with `do_sample=False`. Batches are padded on the left, and rounding can
flip a step at which two tokens are equally likely; otherwise an answer depends on no other prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.protocol import State
from rayforget.heartbeat import beat
from rayforget.tasks.text.types import Generations

_LOOK_BACK = 2
"""Tokens searched for an `until` text beyond its own number: it may be written with other tokens."""
_LOOK_EVERY = 8
"""Steps between two searches for texts."""
_LOOKING_BACK = {
    **{"repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "guidance_scale": 1.0},
    **{"no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "min_length": 0},
}
"""Rules of a generation_config.json that look at all tokens so far, each with the value by which it does nothing."""
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
    weights = model.weights(theta)
    portions = _portions(
        prompts,
        generations.max_new_tokens,
        batch_tokens=batch_tokens,
        cache_tokens=_CACHE_BYTES["cpu" if model.device.type == "cpu" else "cuda"] // _bytes_per_token(model),
        max_length=model.max_length,
        switch=model.switch,
        alike=_reads_padding(model),
    )
    # An additional column tells whether all was finite; tokens are kept plus 1, so that 0 is "no token".
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
    prompts: Sequence[NDArray[np.int32]],
    answers: Sequence[int],
    *,
    batch_tokens: int,
    cache_tokens: int,
    max_length: int,
    switch: int | None = None,
    alike: bool = False,
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
    """
    cache_tokens = max(cache_tokens, batch_tokens)
    order = sorted(range(len(prompts)), key=lambda number: (-len(prompts[number]) - answers[number], number))
    portions: list[list[int]] = []
    for number in order:
        wider = [*(portions[-1] if portions else []), number]
        # The longest prompt and the longest answer may belong to different prompts; all rows go as far as their sum.
        read = max(len(prompts[each]) for each in wider)
        width = read + max(answers[each] for each in wider)
        fits = len(wider) * read <= batch_tokens and len(wider) * width <= cache_tokens
        one_side = switch is None or width <= switch or min(len(prompts[each]) for each in wider) > switch
        one_length = not alike or len({len(prompts[each]) for each in wider}) == 1
        if portions and fits and one_side and one_length and width <= max_length:
            portions[-1].append(number)
        else:
            portions.append([number])
    return portions


def _answer(
    model: CausalLm,
    weights: dict[str, Tensor],
    prompts: Sequence[NDArray[np.int32]],
    numbers: Sequence[int],
    generations: Generations,
) -> tuple[list[list[int]], Bool[Tensor, " r"]]:
    """The tokens of these prompts' answers, and whether all logits were finite (on the CPU)."""
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
    lengths = watch.lengths(made)
    answers = [answer[:length] for answer, length in zip(made[:, width:].tolist(), lengths, strict=True)]
    return answers, watch.finite.cpu()


class _Generate(nn.Module):
    """transformers' `generate` as a forward, so that `functional_call` swaps the weights."""

    def __init__(self, lm: nn.Module) -> None:
        super().__init__()
        self.lm = lm

    def forward(self, **kwargs: Any) -> Tensor:
        made: Tensor = self.lm.generate(**kwargs)  # type: ignore[operator]
        return made


class _Watch:
    """Watches the generation of a batch: tells which rows are done, and notes logits that are not finite.

    The state of the rows is kept on the device. Texts are searched every few steps and at the end, since that has to
    wait for the device. An answer that meanwhile went on past its `until` is cut at the same token.
    """

    def __init__(self, model: CausalLm, generations: Generations, numbers: Sequence[int], width: int) -> None:
        self._tokenizer, self._width = model.tokenizer, width
        self.ends = _end_tokens(model)
        self._untils = [
            [text for text in generations.until[number] if text and self._encoded(text) not in ([e] for e in self.ends)]
            for number in numbers
        ]
        self._windows = [
            max((len(self._encoded(text)) for text in until), default=0) + _LOOK_BACK for until in self._untils
        ]
        self.limits = [generations.max_new_tokens[number] for number in numbers]
        self._lengths = torch.tensor(self.limits, device=model.device)
        self._done = torch.zeros(len(numbers), dtype=torch.bool, device=model.device)
        self._end_tokens = torch.tensor(self.ends, device=model.device)
        self._looked_at = 0
        self.finite = torch.ones(len(numbers), dtype=torch.bool, device=model.device)

    def look(self, input_ids: Int[Tensor, "r l"], scores: Float[Tensor, "r v"]) -> Float[Tensor, "r v"]:
        """A logits processor that changes nothing; -inf is how other processors forbid a token."""
        broken = (scores.isnan() | (scores == torch.inf)).any(dim=1) | (scores == -torch.inf).all(dim=1)
        self.finite &= ~broken
        return scores

    def stop(self, input_ids: Int[Tensor, "r l"], scores: Any, **_: Any) -> Bool[Tensor, " r"]:
        """A stopping criterion: which rows are done."""
        made = input_ids.shape[1] - self._width
        beat("generate", made, max(self.limits))
        ended = torch.isin(input_ids[:, -1], self._end_tokens)
        self._lengths = torch.where(ended & ~self._done, self._lengths.clamp(max=made), self._lengths)
        self._done |= ended | (self._lengths <= made)
        if made - self._looked_at >= _LOOK_EVERY:
            self._look_for_texts(input_ids)
        return self._done

    def lengths(self, input_ids: Int[Tensor, "r l"]) -> list[int]:
        """The length of each answer, once all are written."""
        self._look_for_texts(input_ids)
        lengths: list[int] = self._lengths.tolist()
        return lengths

    def _look_for_texts(self, input_ids: Int[Tensor, "r l"]) -> None:
        """Ends the rows whose newest tokens spell one of their texts, at the first token that completes it."""
        before, self._looked_at = self._looked_at, input_ids.shape[1] - self._width
        if not any(self._untils):
            return
        answers, lengths = input_ids[:, self._width :].tolist(), self._lengths.tolist()
        for row, answer in enumerate(answers):
            last = min(self._looked_at, lengths[row])
            if not self._untils[row] or last <= before or not self._ends(row, answer, before + 1, last):
                continue  # a text spelled by a part is also in the whole
            found = next((step for step in range(before + 1, last + 1) if self._ends(row, answer, step, step)), None)
            if found is not None:
                self._lengths[row], self._done[row] = found, True

    def _ends(self, row: int, answer: list[int], first: int, last: int) -> bool:
        """Whether one of the row's texts is in its tokens `first` to `last` (from 1) and those shortly before."""
        text = self._tokenizer.decode(answer[max(0, first - self._windows[row]) : last])
        return any(until in text for until in self._untils[row])

    def _encoded(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens


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
    return any(getattr(configured, name, None) not in (None, unset) for name, unset in _LOOKING_BACK.items())


def _bytes_per_token(model: CausalLm) -> int:
    """Bytes of keys and values in fp32, if the configuration tells them; else as many as a large model needs."""
    config: Any = model.head.lm.config
    layers, width, heads = (
        getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    if not (layers and width and heads):
        return 2**20
    shared = getattr(config, "num_key_value_heads", None) or heads
    head_width = getattr(config, "head_dim", None) or width // heads
    return int(2 * 4 * layers * shared * head_width)


def _end_tokens(model: CausalLm) -> list[int]:
    """The model's end token, and those that its generation_config.json adds."""
    configured = getattr(getattr(model.head.lm, "generation_config", None), "eos_token_id", None)
    more = configured if isinstance(configured, list) else [] if configured is None else [configured]
    return [model.eos_token, *(token for token in more if token != model.eos_token)]


def _text(tokenizer: Any, tokens: Sequence[int], until: Sequence[str]) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=True)
    for end in filter(None, until):
        text = text.split(end)[0]
    return text
