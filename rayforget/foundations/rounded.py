"""A module -> the matrices that autocast rounds at each use, and that may therefore be kept, or gathered, rounded."""

import torch
from torch import Tensor, nn

LINEAR = (nn.Linear,)
LINEAR_AND_CONVOLUTIONS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def only_multiplied(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[Tensor]:
    """The fp32 matrices of layers of these kinds that nothing else reads.

    Left out are those of an embedding, which enter sums in fp32, and those that DoRA measures.
    """
    measured = [part for part in module.modules() if len(getattr(part, "lora_magnitude_vector", None) or ())]
    inside = {id(part) for each in measured for part in each.modules()}
    parts = [part for part in module.modules() if id(part) not in inside]
    others = [part for part in module.modules() if not isinstance(part, kinds) or id(part) in inside]
    elsewhere = {id(parameter) for part in others for parameter in part.parameters(recurse=False)}
    own = (part._parameters.get("weight") for part in parts if isinstance(part, kinds))  # of 4 bits: none
    return [each for each in own if each is not None and each.dtype == torch.float32 and id(each) not in elsewhere]
