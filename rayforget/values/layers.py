"""Where a tensor stands in its tower: what paths by depth need to know."""

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
        """0 for the first layer, 1 for the last: index / (count - 1); 1 where there is one layer alone."""
        return self.index / (self.count - 1) if self.count > 1 else 1.0
