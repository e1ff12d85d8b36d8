"""A small learner over fixed vectors, with attention-free linear layers: the trainer's smallest real user."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from rayforget.foundations.protocol import Batch


class TwoLayers(nn.Module):
    """tanh(x @ q_proj) @ out_proj."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(5, width)
        self.out_proj = nn.Linear(width, classes)

    def forward(self, features: Tensor) -> Tensor:
        hidden: Tensor = torch.tanh(self.q_proj(features))
        logits: Tensor = self.out_proj(hidden)
        return logits


class VectorLearner:
    """37 vectors of 5 numbers in 3 classes; canonical names are the module's own."""

    def __init__(self, *, num_items: int = 37, width: int = 7, seed: int = 0, noise: float = 0.01) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.module: nn.Module = TwoLayers(width, 3)
        self.output: nn.Module | None = None
        self.device = torch.device("cpu")
        self.facts: Mapping[str, Any] = {}
        self.data_hash = f"{num_items} {width} {seed}"
        generator = torch.Generator().manual_seed(seed)
        self.features = torch.randn(num_items, 5, generator=generator)
        self.targets = torch.randint(0, 3, (num_items,), generator=generator)
        self.num_items = num_items
        self._noise = noise

    def batch(self, indices: Tensor, generator: Generator) -> Batch:
        """The vectors at these indices, with a little noise from the generator."""
        noise = torch.randn(len(indices), 5, generator=generator)
        return Batch(inputs={"features": self.features[indices] + self._noise * noise}, targets=self.targets[indices])

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The names unchanged."""
        return dict(weights)
