"""Where a tensor stands in its tower, for paths that go by depth."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Where a tensor stands between a tower's input and its output."""

    index: int
    """0 for the embeddings, then the blocks in order, `count - 1` for the output."""
    count: int
    """Layers of the tower, embeddings and output included; at least 1."""

    @property
    def depth(self) -> float:
        """index / (count - 1): 0 for the first layer, 1 for the last; 1 if there is only one layer."""
        return self.index / (self.count - 1) if self.count > 1 else 1.0
