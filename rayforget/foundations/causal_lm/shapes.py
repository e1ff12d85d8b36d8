"""A language model's folder -> its layers, without values."""

from torch import nn

from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.shapes import without_values


def trained_layers(folder: str) -> nn.Module | None:
    """The layers under the names that adapters see; None if the model cannot be built without values."""
    return without_values(lambda: _layers(folder))


def _layers(folder: str) -> nn.Module:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except StrictDataclassError as error:  # is neither a ValueError nor a TypeError
        raise ValueError(str(error)) from error
    return CausalHead(AutoModelForCausalLM.from_config(config))  # type: ignore[no-untyped-call]
