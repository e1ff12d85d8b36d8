"""Many language models -> their scores on every task; requests are tokenised and laid out in rows once for all models.

The models are the outer loop and the rows the inner one: a large model's weights then stay in place for a whole pass,
and the rows are token ids in memory, which are cheap to read again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.scoring.generation import generate
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.foundations.causal_lm.scoring.token_rows import RowBatch
from rayforget.foundations.causal_lm.source import answering
from rayforget.foundations.protocol import State
from rayforget.heartbeat import beat
from rayforget.tasks.text.encode import tokenizer_identity
from rayforget.tasks.text.types import TaskRequests, broken_rows
from rayforget.values.scores import Score, Split


def _answering(config: Any) -> Any:
    """`answering`, also of configurations within (a model that sees images too has one of its text model)."""
    if not isinstance(config, Mapping):
        return config
    return {key: _answering(value) for key, value in answering(config).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """One split of one task; read-only."""

    requests: TaskRequests
    batches: tuple[RowBatch, ...]


class LanguageScorer:
    """Scores models on tasks of texts (implements `Scorer`)."""

    def __init__(
        self, model: CausalLm, requests: Mapping[str, Callable[[Split], TaskRequests]], *, batch_tokens: int
    ) -> None:
        """Tokenises nothing yet: the requests of a split are made when it is first scored.

        Args:
            model: theta_0.
            requests: task -> function that makes the requests on a split; called once per split.
            batch_tokens: tokens per forward pass.
        """
        self.tasks: Sequence[str] = tuple(requests)
        self.models_per_pass: int | None = 1
        self._model, self._requests, self._batch_tokens = model, requests, batch_tokens
        self._known: dict[tuple[str, Split], _Prepared] = {}

    @property
    def identity(self) -> str:
        """Hash of what decides a score besides weights and requests: architecture, tokenizer, lengths, batches."""
        model = self._model
        tokens = [model.max_length, model.pad_token, model.eos_token, model.prefix_token]
        parts = [dict(model.config), tokenizer_identity(model.tokenizer), tokens, self._batch_tokens]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]

    @property
    def runs_as(self) -> str:
        """Hash of architecture, tokenizer with its chat template, and lengths."""
        model = self._model
        tokens = [model.max_length, model.train_length, model.pad_token, model.eos_token, model.prefix_token]
        chat = getattr(model.tokenizer, "chat_template", None)
        parts = [_answering(model.config), tokenizer_identity(model.tokenizer), chat, tokens]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def items_hash(self, split: Split) -> str:
        """One hash over all tasks' names, rules, documents and requests (including prompts), 32 hex digits."""
        digest = hashlib.sha256()
        for name in sorted(self.tasks):
            requests = self._prepared(name, split).requests
            digest.update(f"{name} {requests.rule} {requests.items_hash}\n".encode())
            for array in (requests.pairs.tokens, requests.pairs.starts, requests.pairs.continuations):
                digest.update(np.ascontiguousarray(array).tobytes())
            asked = requests.generations
            digest.update(repr([prompt.tolist() for prompt in asked.prompts]).encode())
            digest.update(repr([list(asked.until), list(asked.max_new_tokens)]).encode())
        return digest.hexdigest()[:32]

    def items_by_task(self, split: Split) -> dict[str, str]:
        """Per task the hash of its documents."""
        return {name: self._prepared(name, split).requests.items_hash for name in self.tasks}

    def facts(self, split: Split) -> dict[str, Any]:
        """Rows that could not be used and were skipped, by task."""
        return broken_rows({name: self._prepared(name, split).requests.broken for name in self.tasks})

    def counted(self, split: Split) -> dict[str, Mapping[str, int]]:
        """Task -> counts over its items; see `Score.facts`."""
        return {name: self._prepared(name, split).requests.facts for name in self.tasks}

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        """Scores every model; every rank gets the whole result."""
        return [self._score(theta, split) for theta in thetas]

    def _score(self, theta: State, split: Split) -> Scored:
        scores: dict[str, Score] = {}
        broken: dict[str, int] = {}
        for number, name in enumerate(self.tasks):
            beat(f"score {name}", number, len(self.tasks))
            prepared = self._prepared(name, split)
            requests = prepared.requests
            found = log_likelihoods(self._model, theta, prepared.batches, num_pairs=len(requests.pairs.continuations))
            answers = generate(self._model, theta, requests.generations, batch_tokens=self._batch_tokens)
            lost = int((~np.isfinite(found.log_likelihoods)).sum() + (~answers.finite).sum())
            if lost:  # an item may ask for several pairs
                broken[name] = min(lost, requests.num_items)
                continue
            beat(f"judge {name}", number, len(self.tasks))
            items, weights = requests.judge(found, answers.texts)
            scores[name] = Score(
                rule=requests.rule,
                items=items,
                weights=weights,
                items_hash=requests.items_hash,
                facts=requests.facts,
            )
        return NotFinite(items=broken) if broken else scores

    def _prepared(self, name: str, split: Split) -> _Prepared:
        if (name, split) not in self._known:
            beat(f"prepare tasks.{name}.{split}")
            requests = self._requests[name](split)
            batches = prepare_rows(self._model, requests.pairs, batch_tokens=self._batch_tokens)
            self._known[name, split] = _Prepared(requests=requests, batches=batches)
        return self._known[name, split]
