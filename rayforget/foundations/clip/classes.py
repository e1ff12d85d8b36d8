"""A task's class names and prompts -> class vectors of theta_0 (once per process) or of any other text tower."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.evaluate.precision import current_precision
from rayforget.foundations.clip.model import ClipModel
from rayforget.foundations.clip.text import class_features, prompt_tokens
from rayforget.space.precision import ScoringPrecision
from rayforget.tasks.resolved import ResolvedTask

_Key = tuple[tuple[str, ...], tuple[str, ...]]


class ClassVectors:
    """Keeps token ids and theta_0's class vectors for every (class names, templates) asked for.

    Theta_0's vectors of a training and of a scoring in fp32 are the same; another precision has its own.
    """

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self._tokens: dict[_Key, Tensor] = {}
        self._of_theta_0: dict[tuple[_Key, ScoringPrecision], Tensor] = {}

    def tokens(self, task: ResolvedTask) -> Int[Tensor, "c t l"]:
        """Token ids of every class in every template, on the CPU."""
        key = (task.class_names, task.templates)
        if key not in self._tokens:
            self._tokens[key] = prompt_tokens(self._model.clip, self._model.tokenizer, *key)
        return self._tokens[key]

    @torch.no_grad()
    def of_theta_0(self, task: ResolvedTask) -> Float[Tensor, "c d"]:
        """The zero-shot classifier of theta_0, on the device; every rank computes all of it by itself."""
        key = ((task.class_names, task.templates), current_precision())
        if key not in self._of_theta_0:
            self._of_theta_0[key] = self._features(self.tokens(task), {})
        return self._of_theta_0[key]

    @torch.no_grad()
    def of(self, text_weights: Mapping[str, Tensor], task: ResolvedTask) -> Float[Tensor, "c d"]:
        """The zero-shot classifier with other weights (`ClipModel.text_weights`); the ranks share the classes.

        Diverged weights give vectors that are not finite, on every rank, which the scorer handles.
        """
        tokens = self.tokens(task)
        begin, end = (len(tokens) * (rank() + more) // world_size() for more in (0, 1))
        width: int = self.of_theta_0(task).shape[1]
        vectors = torch.zeros(len(tokens), width, device=self._model.device)
        if begin < end:
            vectors[begin:end] = self._features(tokens[begin:end], text_weights)
        return all_reduce_sum(vectors)

    def _features(self, tokens: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        return class_features(lambda texts: self._model.text_features(texts, weights), tokens, self._model.device)
