"""A causal language model of transformers as one module: rows of tokens -> features of chosen tokens -> logits."""

import inspect
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rayforget.foundations.causal_lm.boundaries import boundary_arguments
from rayforget.foundations.causal_lm.own_head import OwnHead, base_of


class CausalHead(nn.Module):
    """Two calls of one forward: the logits of all tokens are never needed at once, so they are made piece by piece.

        forward(tokens=, positions=, mask= or boundaries=, sources=) -> features (num_sources, d)
        forward(features=)                                           -> logits (num_features, vocabulary)

    Both go through forward, since `torch.func.functional_call` swaps the module's weights only there.
    """

    def __init__(self, lm: nn.Module, own: tuple[str, ...] | None = None) -> None:
        """Wraps a model of transformers; parameter names get the prefix `lm.`.

        Args:
            lm: the model.
            own: None if its logits are its output layer's product; else the layers of its own head function, by name.
        """
        super().__init__()
        self.lm, self.own = lm, own
        self.longest = 0
        """Tokens of the longest sequence within boundaries, in any batch."""
        known = inspect.signature(base_of(lm).forward).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        self._unknown = frozenset() if takes_all else {"position_ids", "attention_mask", "use_cache"} - known.keys()

    @property
    def output(self) -> nn.Module:
        """What makes logits of features, with the weights that it uses; these may be the embedding's."""
        if self.own is not None:
            return OwnHead(self.lm, self.own)
        layer: nn.Module = self.lm.get_output_embeddings()  # type: ignore[operator]
        return layer

    def forward(
        self,
        *,
        tokens: Int[Tensor, "r l"] | None = None,
        positions: Int[Tensor, "r l"] | None = None,
        mask: Bool[Tensor, "r 1 l l"] | None = None,
        boundaries: Int[Tensor, " n"] | None = None,
        sources: Int[Tensor, " t"] | None = None,
        features: Float[Tensor, "t d"] | None = None,
    ) -> Tensor:
        """Features of chosen tokens, or logits of features.

        Args:
            tokens: rows, padded on the right with any token.
            positions: each token's position in its own sequence.
            mask: which tokens (rows of the matrix) see which (columns); None: each sees itself and all before it.
            boundaries: where the sequences of a flat row start, for a model that attends within them
                (`use_boundaries`); given without a mask.
            sources: flat indices row * l + column of the tokens whose features are returned; None: all.
            features: returned by an earlier call; given alone.
        """
        if features is not None:
            return self.output(features)  # type: ignore[no-any-return]
        config: Any = self.lm.config
        if mask is not None and config._attn_implementation == "eager":  # which adds masks to its weights
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
        asked = {"position_ids": positions, "attention_mask": mask, "use_cache": False}
        taken = {name: value for name, value in asked.items() if name not in self._unknown}
        if boundaries is not None:
            taken |= boundary_arguments(boundaries, self.longest)
        hidden: Tensor = base_of(self.lm)(input_ids=tokens, **taken).last_hidden_state
        return hidden.flatten(0, 1) if sources is None else hidden.flatten(0, 1).index_select(0, sources)


def causal_mask(sequences: Int[Tensor, "r l"], branches: Int[Tensor, "r l"]) -> Bool[Tensor, "r 1 l l"]:
    """The attention mask when a row holds several sequences, and a sequence several endings.

    A token sees the tokens of its own sequence, up to and including itself, that are on the stem (branch 0) or on its
    own branch. Every token sees itself, including fillers, so that no row of the softmax is empty.

    Args:
        sequences: each token's sequence number in its row; fillers have a number of their own.
        branches: 0 on a sequence's stem, else the number of its ending.
    """
    length = sequences.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=sequences.device).tril()
    same = sequences[:, :, None] == sequences[:, None, :]
    visible = (branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :])
    return (before & same & visible)[:, None]
