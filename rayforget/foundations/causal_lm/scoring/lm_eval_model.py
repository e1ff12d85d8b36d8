"""Our engine as lm-eval's `LM`: `lm_eval.simple_evaluate(model=LmEvalModel(model, theta), tasks=[...])` on any theta.

Under torch.distributed every rank calls it with the same requests; the ranks share them and each gets all results.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from lm_eval.api.model import LM

from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.scoring.generation import generate
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.foundations.protocol import State
from rayforget.tasks.text.encode import TokenPair, encode_pairs, encode_texts, joined
from rayforget.tasks.text.requests import fitted, windows
from rayforget.tasks.text.types import Generations, Pairs

_MAX_NEW_TOKENS = 256
"""For requests that give no limit; HFLM's default."""


class LmEvalModel(LM):  # type: ignore[misc]
    """One theta (implements lm-eval's `LM`). Leave lm-eval's cache of answers off: its key ignores the weights."""

    def __init__(self, model: CausalLm, theta: State, *, batch_tokens: int = 4096) -> None:
        """Wraps weights.

        Args:
            model: theta_0.
            theta: tensors that differ from theta_0, under canonical names; empty for theta_0 itself.
            batch_tokens: tokens per forward pass.
        """
        super().__init__()
        self.tokenizer = model.tokenizer
        self._model, self._theta, self._batch_tokens = model, theta, batch_tokens
        self._device = model.device

    @property
    def tokenizer_name(self) -> str:
        """Identifies the tokenizer in lm-eval's fingerprint of its requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The tokenizer's own template."""
        text: str = self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template that `apply_chat_template` follows."""
        return self.tokenizer.chat_template if chat_template else None

    def loglikelihood(self, requests: Sequence[Any], **_: Any) -> list[tuple[float, bool]]:
        """(Log-likelihood in nats, whether greedy decoding gives it) of each (context, continuation)."""
        prefix = self._model.prefix_token
        encoded = encode_pairs(self.tokenizer, [request.args for request in requests], prefix_token=prefix)
        return self._ask([fitted(context, continuation, self._model.max_length) for context, continuation in encoded])

    def loglikelihood_rolling(self, requests: Sequence[Any], **_: Any) -> list[float]:
        """Log-likelihood of each whole text, in nats; a long one is cut into windows."""
        prefix, longest = self._model.prefix_token, self._model.max_length
        texts = encode_texts(self.tokenizer, [text for (text,) in _arguments(requests)], prefix_token=prefix)
        return [found for found, _ in self._ask([list(windows(text, prefix, longest)) for text in texts])]

    def generate_until(self, requests: Sequence[Any], **_: Any) -> list[str]:
        """Greedy answers.

        Raises:
            TaskError: a request asks for sampled answers.
        """
        from lm_eval.models.utils import normalize_gen_kwargs

        settings = [normalize_gen_kwargs(kwargs, _MAX_NEW_TOKENS) for _, kwargs in _arguments(requests)]
        for kwargs in settings:
            if kwargs.get("do_sample") or float(kwargs.get("temperature") or 0) > 0:
                raise TaskError(
                    f"found generation settings {dict(kwargs)}; only greedy answers (do_sample: false) are given"
                )
        prompts = encode_texts(
            self.tokenizer, [text for text, _ in _arguments(requests)], prefix_token=self._model.prefix_token
        )
        asked = Generations(
            prompts=[np.array(prompt, dtype=np.int32) for prompt in prompts],
            until=[tuple(kwargs["until"]) for kwargs in settings],
            max_new_tokens=[kwargs["max_gen_toks"] for kwargs in settings],
        )
        return list(generate(self._model, self._theta, asked, batch_tokens=self._batch_tokens).texts)

    def _ask(self, windows_of: Sequence[Sequence[TokenPair]]) -> list[tuple[float, bool]]:
        """Sums over each request's windows."""
        flat = [window for own in windows_of for window in own]
        tokens, starts = joined([*context, *continuation] for context, continuation in flat)
        pairs = Pairs(
            tokens=tokens, starts=starts, continuations=np.array([len(context) for context, _ in flat], dtype=np.int32)
        )
        batches = prepare_rows(self._model, pairs, batch_tokens=self._batch_tokens)
        found = log_likelihoods(self._model, self._theta, batches, num_pairs=len(flat))
        spans = pairwise([0, *accumulate(len(own) for own in windows_of)])
        return [(float(found.log_likelihoods[a:b].sum()), bool(found.greedy[a:b].all())) for a, b in spans]


def _arguments(requests: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [request.args for request in requests]
