"""A language model -> the parts that read texts, and an error for texts with tokens that it does not embed."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.model import CausalLm


def text_parts(lm: nn.Module) -> Iterator[nn.Module]:
    """The whole model; of one that also sees or hears, its language model and output layer, since nothing else runs."""
    config: Any = lm.config
    if config.get_text_config(decoder=True) is config:
        yield lm
        return
    yield lm.get_decoder()  # type: ignore[operator]
    yield lm.get_input_embeddings()  # type: ignore[operator]
    yield lm.get_output_embeddings()  # type: ignore[operator]


def refuse_unembedded(model: CausalLm, tokens: Iterable[NDArray[np.integer[Any]]], what: str) -> None:
    """Refuses token ids beyond the model's embedding, which some tokenizers have without any text using them.

    Args:
        model: the model that will read them.
        tokens: arrays of token ids.
        what: key and name of the texts, for the message.

    Raises:
        TaskError: names the first such token.
    """
    for array in tokens:
        beyond = array[array >= model.num_embedded]
        if len(beyond):
            token = int(beyond[0])
            raise TaskError(
                f"{what} use token {token}, {model.tokenizer.convert_ids_to_tokens(token)!r}, and the model embeds "
                f"only {model.num_embedded} (0 to {model.num_embedded - 1}); take such texts out, or use the tokenizer "
                "that belongs to the model"
            )
