"""A task's requests on a split -> a learner of the right answers, to find which weights matter for them.

An item is a document. Its targets are the tokens of its right answer, as scoring asks for them: the right choice of a
multiple choice, the output of an instruction, all of a text (in windows if it is long).
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.learner import as_batch, own_names
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.rotary import refuse_both_sides
from rayforget.foundations.causal_lm.rows import Rows
from rayforget.foundations.protocol import Batch
from rayforget.tasks.text.types import Pairs, TaskRequests


class AnswerLearner:
    """A language model set up to be trained on a split's right answers (implements `Learner`)."""

    def __init__(self, model: CausalLm, module: CausalHead, requests: TaskRequests) -> None:
        """Finds each document's right answer.

        Args:
            model: gives the device and the names.
            module: fresh, at theta_0, on the model's device.
            requests: the requests on the split.

        Raises:
            TaskError: the task's answers are generated, or a document has more than one right answer.
        """
        if requests.right_pairs is None:
            raise FoundationError("the task does not say which answers are right")
        self.module: CausalHead = module
        self.device: torch.device = model.device
        self.num_items: int = requests.num_items
        self.facts: Mapping[str, Any] = {}
        self._model, self._pairs, self._right = model, requests.pairs, requests.right_pairs()
        asked = [pair for first, last in self._right for pair in range(first, last)]
        refuse_both_sides(np.diff(self._pairs.starts)[asked] - 1, model.switch)

    @property
    def output(self) -> nn.Module:
        """The layer between features and logits."""
        return self.module.output

    @property
    def data_hash(self) -> str:
        """Hash of the tokens asked for, of which are right, and of the model's settings."""
        digest = sha256(np.array(self._right, dtype=np.int64).tobytes())
        for array in (self._pairs.tokens, self._pairs.starts, self._pairs.continuations):
            digest.update(np.ascontiguousarray(array).tobytes())
        return self._model.hashed_with(digest.hexdigest())

    def batch(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The answers of these documents; involves no randomness."""
        pairs = [pair for index in indices.tolist() for pair in range(*self._right[index])]
        return as_batch(answer_rows(self._pairs, pairs, filler=self._model.pad_token), self._model).to(self.device)

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All names of theta_0; see `own_names`."""
        return own_names(self._model, weights)


def answer_rows(pairs: Pairs, chosen: Sequence[int], *, filler: int) -> Rows:
    """One row per pair, without its last token, which is only predicted and may lie beyond the last position.

    Args:
        pairs: contexts with their continuations.
        chosen: indices of the pairs to use, at least one.
        filler: token id after the end of a shorter row.
    """
    sequences: list[NDArray[np.int64]] = [
        pairs.tokens[pairs.starts[pair] : pairs.starts[pair + 1]].astype(np.int64) for pair in chosen
    ]
    longest = max(len(sequence) for sequence in sequences) - 1
    tokens = np.full((len(sequences), longest), filler, dtype=np.int64)
    sources, targets = [], []
    for row, (sequence, first) in enumerate(zip(sequences, pairs.continuations[list(chosen)].tolist(), strict=True)):
        tokens[row, : len(sequence) - 1] = sequence[:-1]
        sources.append(row * longest + np.arange(first - 1, len(sequence) - 1))
        targets.append(sequence[first:])
    return Rows(
        tokens=torch.from_numpy(tokens),
        positions=torch.arange(longest).repeat(len(sequences), 1),
        mask=None,
        sources=torch.from_numpy(np.concatenate(sources)),
        targets=torch.from_numpy(np.concatenate(targets)),
    )
