"""A language model's trainable copy and its training sequences -> batches of rows, and theta_1 under its own names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Generator, Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.boundaries import Kernel, use_boundaries
from rayforget.foundations.causal_lm.flat import flat_row, padded_share
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.model import PREFIX, CausalLm
from rayforget.foundations.causal_lm.rotary import refuse_both_sides
from rayforget.foundations.causal_lm.rows import Rows, training_rows
from rayforget.foundations.protocol import Batch
from rayforget.tasks.text.types import TrainingSet, broken_rows


class CausalLearner:
    """A language model set up for one recipe (implements `Learner`)."""

    def __init__(
        self,
        model: CausalLm,
        module: CausalHead,
        train: TrainingSet,
        *,
        packing: bool,
        kernel: Kernel | None = None,
        sizes_repeat: bool = False,
        sequences: int = 1,
    ) -> None:
        """Sets up `module` to be trained on the sequences, in place.

        Args:
            model: gives the device and the names.
            module: fresh, at theta_0; on the model's device, or on the CPU to be sharded.
            train: the training sequences.
            packing: whether to put several sequences into a row if they fit.
            kernel: packs each batch into a single row, and attends within its sequences by this kernel; None packs rows
                with dense masks.
            sizes_repeat: fills rows with dense masks up, too, so that their sizes come again.
            sequences: in a batch; the facts then say how much fills flat rows up.
        """
        refuse_both_sides(np.diff(train.starts), model.switch)
        self.module: CausalHead = module
        self.device: torch.device = model.device
        self.num_items: int = len(train.first_targets)
        self.data_hash: str = model.hashed_with(train.items_hash)
        self.facts: Mapping[str, Any] = {
            **train.facts,
            "packing": int(packing),
            **broken_rows(train.broken),
        }
        self._model, self._train, self._packing = model, train, packing
        lengths = np.diff(train.starts)
        self._flat = packing and kernel is not None
        self._longest = int(lengths.max())
        self.sizes_repeat: bool = self._flat or sizes_repeat
        if self.sizes_repeat:
            self.facts = {**self.facts, "kernel": kernel if self._flat else "dense"}
        if kernel is not None and self._flat:
            module.longest = self._longest
            use_boundaries(module.lm, kernel)
            self.facts = {**self.facts, "padding": round(padded_share(lengths, sequences), 4)}

    @property
    def output(self) -> nn.Module:
        """The layer between features and logits."""
        return self.module.output

    @property
    def at_theta_0(self) -> Mapping[str, Tensor]:
        """The module's own names -> theta_0's values, on the CPU."""
        return {f"{PREFIX}{name}": tensor for name, tensor in self._model.theta_0.items()}

    def batch(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The sequences at these indices, in rows; involves no randomness."""
        return self.finished(self.raw(indices, generator).to(self.device))

    def raw(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The batch on the CPU."""
        train = self._train
        sequences = [train.tokens[train.starts[i] : train.starts[i + 1]] for i in indices.tolist()]
        first = train.first_targets[indices.numpy()].tolist()
        filler = self._model.pad_token
        if self._flat:
            rows = flat_row(sequences, first, longest=self._longest, filler=filler)
        else:
            up_to = self._longest if self.sizes_repeat else None
            rows = training_rows(sequences, first, packing=self._packing, filler=filler, repeat_up_to=up_to)
        return as_batch(rows, self._model)

    def finished(self, raw: Batch) -> Batch:
        """What `raw` gave, unchanged."""
        return raw

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All names of theta_0; see `own_names`."""
        return own_names(self._model, weights)


def own_names(model: CausalLm, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All names of theta_0; drops a tied tensor's further names and buffers outside theta.

    Raises:
        FoundationError: a tensor of theta_0 is missing from `weights`.
    """
    if missing := sorted(name for name in model.theta_0 if f"{PREFIX}{name}" not in weights):
        raise FoundationError(f"the module has lost {', '.join(missing[:5])}; pass all of its own names")
    return {name: weights[f"{PREFIX}{name}"] for name in model.theta_0}


def as_batch(rows: Rows, model: CausalLm) -> Batch:
    """Rows as `CausalHead` takes them; a model that is asked for one sequence per row counts its positions itself."""
    inputs = {"tokens": rows.tokens, "sources": rows.sources}
    if model.keeps_apart:
        inputs["positions"] = rows.positions
    if rows.mask is not None:
        inputs["mask"] = rows.mask
    if rows.boundaries is not None:
        inputs["boundaries"] = rows.boundaries
    return Batch(inputs=inputs, targets=rows.targets)
