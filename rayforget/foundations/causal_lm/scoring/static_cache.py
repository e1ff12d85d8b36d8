"""A batch of prompts -> greedy answers, with keys and values in tensors of a size that comes again.

Rows and columns are rounded up to an eighth of an octave, so that few sizes occur. A step takes one token of every row,
and everything that it reads and writes stays on the device. Every few steps the new tokens are looked at, and when half
of the rows are done the others go on in a smaller batch.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.rows import eighth_up
from rayforget.foundations.causal_lm.scoring.ends import LOOK_EVERY, NOT_FINITE, OpenAnswer, Until, end_tokens_of
from rayforget.foundations.causal_lm.scoring.growing_cache import broken
from rayforget.foundations.causal_lm.scoring.prompt_rows import prompt_rows
from rayforget.foundations.causal_lm.scoring.step_graph import repeated
from rayforget.heartbeat import beat
from rayforget.tasks.text.types import Generations


def answers_in_place(
    model: CausalLm,
    weights: dict[str, Tensor],
    prompts: Sequence[NDArray[np.int32]],
    numbers: Sequence[int],
    generations: Generations,
) -> tuple[list[list[int]], Bool[Tensor, " r"]]:
    """The tokens of these prompts' answers, and whether all logits were finite (on the CPU).

    Raises:
        CaptureError: on a GPU, the model's step cannot be captured.
    """
    ends = end_tokens_of(model)
    answers = [
        OpenAnswer(
            until=Until(model.tokenizer, generations.until[number], ends),
            end_tokens=frozenset(ends),
            limit=generations.max_new_tokens[number],
        )
        for number in numbers
    ]
    most = max(answer.limit for answer in answers)
    asked = [prompts[number] for number in numbers]

    def write(lm: nn.Module) -> None:
        decoding = Decoding(lm, asked, filler=model.pad_token, most=most, device=model.device)
        _fill(answers, decoding)

    functional_call(Within(model.head.lm), weights, (write,))
    return [answer.tokens for answer in answers], torch.tensor([answer.finite for answer in answers])


def _fill(answers: Sequence[OpenAnswer], decoding: "Decoding") -> None:
    """Takes steps until all answers are done."""
    rows = list(answers)
    step, made, most = repeated(decoding.step, decoding.device), 1, max(answer.limit for answer in rows)
    while True:
        new = decoding.newest(made, len(rows))
        for answer, tokens in zip(rows, new, strict=True):
            answer.extend(tokens)
        going = [row for row, answer in enumerate(rows) if not answer.done]
        if not going:
            return
        if 2 * len(going) <= decoding.rows:
            decoding.keep(going)
            rows, step = [rows[row] for row in going], repeated(decoding.step, decoding.device)
        stretch = min(LOOK_EVERY, max(rows[row].limit for row in range(len(rows)) if not rows[row].done) - made)
        for _ in range(stretch):
            step()
        made += stretch
        beat("generate", made, most)


class Within(nn.Module):
    """Calls work with the model in a forward, so that `functional_call` swaps its weights for all of it at once."""

    def __init__(self, lm: nn.Module) -> None:
        super().__init__()
        self.lm = lm

    def forward(self, work: Callable[[nn.Module], Any]) -> Any:
        """What the work returns."""
        return work(self.lm)


class Decoding:
    """The state of a batch between two steps: a token of each row, its position, keys and values, and what was made."""

    def __init__(
        self, lm: nn.Module, prompts: Sequence[NDArray[np.int32]], *, filler: int, most: int, device: torch.device
    ) -> None:
        """Reads the prompts and makes the first token of every answer.

        Args:
            lm: with the weights that are to answer.
            prompts: token ids of each.
            filler: token id before shorter prompts; no token sees it.
            most: tokens of the longest answer.
            device: the model's.

        Raises:
            NotImplementedError: the model's keys and values do not all stay (sliding windows, state spaces).
        """
        self._lm, self.device = lm, device
        self.rows = eighth_up(len(prompts))
        filled = [*prompts, *[prompts[0]] * (self.rows - len(prompts))]
        tokens, seen = (
            each.to(device)
            for each in prompt_rows(filled, filler=filler, width=eighth_up(max(len(prompt) for prompt in prompts)))
        )
        columns = eighth_up(tokens.shape[1] + most)
        self._cache = _cache_of(lm, columns)
        # What comes after the prompt is hidden by its order alone.
        self._seen = torch.cat([seen, seen.new_ones(self.rows, columns - seen.shape[1])], dim=1)
        self._made = torch.zeros(1, dtype=torch.int64, device=device)
        self._found = torch.zeros(self.rows, most, dtype=torch.int64, device=device)
        self._looked_at = 0
        known: Any = lm
        accepted = inspect.signature(known.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._settings = {"logits_to_keep": 1} if known._supports_logits_to_keep() else {}
        positions = (seen.cumsum(dim=1) - 1).masked_fill(seen == 0, 0)
        self.tokens, self._positions = tokens[:, -1:].clone(), positions[:, -1:].clone()
        self._take(self._logits(tokens, positions, seen, first=True))

    def step(self) -> None:
        """Makes the next token of every row; shapes and places of all tensors are those of the step before."""
        self._positions.add_(1)
        self._take(self._logits(self.tokens, self._positions, self._seen, first=False))

    def newest(self, made: int, rows: int) -> list[list[int]]:
        """The tokens of the first rows that were not yet given; waits for the device.

        Args:
            made: tokens of each row so far.
            rows: without those that only fill the batch up.
        """
        before, self._looked_at = self._looked_at, made
        new: list[list[int]] = self._found[:rows, before:made].tolist()
        return new

    def keep(self, going: Sequence[int]) -> None:
        """Goes on with these rows only, in the smallest batch that holds them."""
        self.rows = eighth_up(len(going))
        chosen = torch.tensor([*going, *[going[0]] * (self.rows - len(going))], device=self.device)
        self.tokens, self._positions, self._seen, self._found = (
            each.index_select(0, chosen) for each in (self.tokens, self._positions, self._seen, self._found)
        )
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys.index_select(0, chosen), layer.values.index_select(0, chosen)
            layer.batch_size = self.rows

    def _logits(
        self, tokens: Int[Tensor, "r l"], positions: Int[Tensor, "r l"], seen: Int[Tensor, "r c"], *, first: bool
    ) -> Float[Tensor, "r v"]:
        """Logits of each row's last token, as transformers' `generate` asks for them."""
        lm: Any = self._lm
        places = {"position_ids": positions} if self._takes_positions else {}
        inputs = lm.prepare_inputs_for_generation(
            tokens,
            attention_mask=seen,
            past_key_values=self._cache,
            use_cache=True,
            is_first_iteration=first,
            **places,
            **self._settings,
        )
        logits: Tensor = lm(**inputs, return_dict=True).logits
        return logits[:, -1].float()

    def _take(self, logits: Float[Tensor, "r v"]) -> None:
        """Makes the likeliest token the next one."""
        self.logits = logits
        likeliest = logits.argmax(dim=1)
        self.tokens.copy_(likeliest[:, None])
        self._found.index_copy_(1, self._made, likeliest.masked_fill(broken(logits), NOT_FINITE)[:, None])
        self._made.add_(1)


def _cache_of(lm: nn.Module, columns: int) -> Any:
    """transformers' cache of a fixed size, all of whose layers keep every column."""
    from transformers import StaticCache
    from transformers.cache_utils import StaticLayer, StaticSlidingWindowLayer

    from rayforget.foundations.causal_lm.scoring.kept_columns import KeptColumns

    config: Any = lm.config
    cache = StaticCache(config=config, max_cache_len=columns)
    kinds = [type(layer) for layer in cache.layers]
    if others := sorted({kind.__name__ for kind in kinds if kind not in (StaticLayer, StaticSlidingWindowLayer)}):
        raise NotImplementedError(f"it keeps its past in {', '.join(others)}")
    cache.layers = [KeptColumns(columns, windowed=kind is StaticSlidingWindowLayer) for kind in kinds]
    return cache
