"""A language model's folder -> its layers, without values."""

from torch import nn

from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.source import CausalSource
from rayforget.foundations.shapes import without_values


def trained_layers(source: CausalSource) -> nn.Module | None:
    """The layers under the names that adapters see; None if the model cannot be built without values.

    Code that a folder brings runs only if the space trusts it: left to itself, transformers asks at the terminal.
    """
    return without_values(lambda: _layers(source))


def _layers(source: CausalSource) -> nn.Module:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    trusted = source.trust_remote_code
    try:
        config = AutoConfig.from_pretrained(source.name, local_files_only=True, trust_remote_code=trusted)
    except StrictDataclassError as error:  # is neither a ValueError nor a TypeError
        raise ValueError(str(error)) from error
    return CausalHead(AutoModelForCausalLM.from_config(config, trust_remote_code=trusted))
