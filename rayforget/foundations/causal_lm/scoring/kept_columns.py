"""transformers' layer of a cache of fixed size, for all layers alike and under autocast."""

from torch import Tensor
from transformers.cache_utils import StaticLayer


class KeptColumns(StaticLayer):  # type: ignore[misc, unused-ignore]
    """Keeps every column, also where attention has a window, which is then a matter of the mask alone.

    transformers' own layers of windows count their columns on the host, which a captured step cannot.
    """

    def __init__(self, columns: int, *, windowed: bool) -> None:
        """Takes no memory before the first keys come.

        Args:
            columns: as many as will ever be kept.
            windowed: whether the layer's attention has a window, by which transformers finds a mask's size.
        """
        super().__init__(max_cache_len=columns)
        self.is_sliding = windowed

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Makes room; under autocast keys that were rotated are fp32, and values are not."""
        super().lazy_initialization(key_states, value_states)
        self.values = self.values.to(value_states.dtype)  # type: ignore[has-type, unused-ignore]
