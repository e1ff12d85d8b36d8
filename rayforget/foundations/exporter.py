"""What a foundation's model is to the library that it comes from: an object in memory, or a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rayforget.foundations.protocol import State
from rayforget.space.foundation import FoundationConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """What a point has and the library's own model has no place for, such as a trained classifier: a file beside it."""

    file: str
    """`classifier.safetensors`"""
    tensors: State
    """Canonical name -> tensor, on the CPU in fp32."""
    metadata: Mapping[str, str]
    """What is needed to use the tensors, such as the names of the classes, as texts of JSON."""
    note: str
    """What it is and how it is used, in Markdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryModel:
    """A model of open_clip or of transformers, on the CPU in fp32 and eval mode; shares no memory with anything."""

    model: nn.Module
    """open_clip's CLIP, transformers' model."""
    tokenizer: Any
    """The library's own."""
    preprocess: Callable[[Any], Tensor] | None = None
    """An image -> the model's input; None for models that see none."""
    aside: Aside | None = None
    """What the model itself cannot hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWords:
    """What a model's card says of the library and of the foundation."""

    library: str
    """The hub's name of the library: `open_clip`."""
    pipeline: str
    """The hub's name of what it is for: `text-generation`."""
    loading: str
    """Python code that loads the folder FOLDER."""
    serving: str = ""
    """Markdown on other programs that take FOLDER."""
    base: str
    """What the foundation is called, in words."""
    base_model: str | None = None
    """The foundation's name on the hub, if it comes from there."""
    license: str | None = None
    """The hub's word for the foundation's licence, if its own card has one."""
    adapter_library: str | None = None
    """The library that loads adapters; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRankChange:
    """A change of weights as an adapter holds it: W = W0 + scale * left @ right, and tensors replaced in full."""

    rank: int
    scale: float
    factors: Mapping[str, tuple[Tensor, Tensor]]
    """Name of a weight (rows x columns) -> left (rows x rank), right (rank x columns)."""
    whole: State
    """Name -> new value of what is trained in full beside the adapter."""


class Exporter(Protocol):
    """Gives weights that a foundation was scored with to the library that the foundation comes from."""

    @property
    def words(self) -> ModelWords:
        """What the card says."""
        ...

    def aside(self, theta: State) -> Aside | None:
        """What of `theta` the library's own model cannot hold."""
        ...

    def model(self, theta: State) -> LibraryModel:
        """The library's own model with these weights.

        Args:
            theta: all tensors of a model, under canonical names, on the CPU in fp32; what `aside` holds may be missing.

        Raises:
            FoundationError: the library cannot hold the model.
        """
        ...

    def save(self, theta: State, folder: Path, dtype: torch.dtype) -> FoundationConfig:
        """Writes a folder that the library loads as it is, with its tokenizer and settings, but without `aside`.

        Args:
            theta: as for `model`.
            folder: an empty one.
            dtype: of the tensors in the files.

        Returns:
            The settings of a foundation that is this folder.

        Raises:
            FoundationError: the library's format cannot hold the model.
        """
        ...

    def save_adapter(self, change: LowRankChange, folder: Path) -> FoundationConfig:
        """Writes an adapter to the foundation that the adapters' library loads; arguments and errors as of `save`."""
        ...
