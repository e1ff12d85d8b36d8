"""A batch of prompts -> greedy answers by transformers' `generate`, whose keys and values grow by a token a step.

Takes every model, and every rule of its generation_config.json; `static_cache.py` takes most, faster on a GPU.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.scoring.ends import LOOK_EVERY, Until, end_tokens_of
from rayforget.foundations.causal_lm.scoring.prompt_rows import prompt_rows
from rayforget.heartbeat import beat
from rayforget.tasks.text.types import Generations


def answers_by_growing(
    model: CausalLm,
    weights: dict[str, Tensor],
    prompts: Sequence[NDArray[np.int32]],
    numbers: Sequence[int],
    generations: Generations,
) -> tuple[list[list[int]], Bool[Tensor, " r"]]:
    """The tokens of these prompts' answers, and whether all logits were finite (on the CPU)."""
    tokens, seen = prompt_rows([prompts[number] for number in numbers], filler=model.pad_token)
    width = tokens.shape[1]
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
        self._width = width
        self.ends = end_tokens_of(model)
        self._untils = [Until(model.tokenizer, generations.until[number], self.ends) for number in numbers]
        self.limits = [generations.max_new_tokens[number] for number in numbers]
        self._lengths = torch.tensor(self.limits, device=model.device)
        self._done = torch.zeros(len(numbers), dtype=torch.bool, device=model.device)
        self._end_tokens = torch.tensor(self.ends, device=model.device)
        self._looked_at = 0
        self.finite = torch.ones(len(numbers), dtype=torch.bool, device=model.device)

    def look(self, input_ids: Int[Tensor, "r l"], scores: Float[Tensor, "r v"]) -> Float[Tensor, "r v"]:
        """A logits processor that changes nothing."""
        self.finite &= ~broken(scores)
        return scores

    def stop(self, input_ids: Int[Tensor, "r l"], scores: Any, **_: Any) -> Bool[Tensor, " r"]:
        """A stopping criterion: which rows are done."""
        made = input_ids.shape[1] - self._width
        beat("generate", made, max(self.limits))
        ended = torch.isin(input_ids[:, -1], self._end_tokens)
        self._lengths = torch.where(ended & ~self._done, self._lengths.clamp(max=made), self._lengths)
        self._done |= ended | (self._lengths <= made)
        if made - self._looked_at >= LOOK_EVERY:
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
        if not any(until.texts for until in self._untils):
            return
        answers, lengths = input_ids[:, self._width :].tolist(), self._lengths.tolist()
        for row, (answer, until) in enumerate(zip(answers, self._untils, strict=True)):
            found = until.first_end(answer, before, min(self._looked_at, lengths[row]))
            if found is not None:
                self._lengths[row], self._done[row] = found, True


def broken(scores: Float[Tensor, "r v"]) -> Bool[Tensor, " r"]:
    """Rows that are not finite; -inf is how a rule forbids a token."""
    return (scores.isnan() | (scores == torch.inf)).any(dim=1) | (scores == -torch.inf).all(dim=1)
