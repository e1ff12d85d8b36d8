"""A CLIP model and a recipe's head -> the module to train, a fresh copy at theta_0.

| head | trains | class vectors W, shape (num_classes, embed_dim) |
|---|---|---|
| frozen | image tower | theta_0's zero-shot classifier, constant |
| trained | image tower and W | a parameter that starts from the zero-shot classifier |
| text | both towers | the text tower's features of one prompt per class |

With objective: contrastive (`PairHead`) W are the features of the batch's texts, one for each image.

    logits = exp(logit_scale) * f(x) @ W^T,   f(x) of unit length, in fp32 under autocast too

logit_scale stays theta_0's with every head: it trades off against the features' spread and decides no prediction. A
logit_bias (SigLIP's) adds the same number to every class and is left out.
"""

import copy
from typing import assert_never, cast

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from rayforget.distributed import from_all_ranks
from rayforget.errors import FoundationError
from rayforget.foundations.clip.model import ClipModel, unit_features
from rayforget.foundations.clip.names import VISUAL, is_text_name
from rayforget.foundations.clip.text import encode_text
from rayforget.space.recipe import Head

LabelGroups = Int[Tensor, "labels g"]
"""Per label the classes that it comprises; a label's logit is the largest of theirs."""


class ImageHead(nn.Module):
    """Trains the image tower against class vectors: a constant `classifier`, or the parameter `head.weight`."""

    def __init__(
        self,
        visual: nn.Module,
        logit_scale: Tensor,
        classifier: Float[Tensor, "c d"],
        *,
        trains_classifier: bool,
        groups: LabelGroups | None = None,
    ) -> None:
        super().__init__()
        self.visual = visual
        self.logit_scale = nn.Parameter(logit_scale.detach().clone(), requires_grad=False)
        classes = classifier.detach().clone()
        if trains_classifier:
            self.head: nn.Linear | None = nn.Linear(classes.shape[1], classes.shape[0], bias=False, device="meta")
            self.head.weight = nn.Parameter(classes)
        else:
            self.head = None
            self.register_buffer("classifier", classes, persistent=False)
        self.register_buffer("groups", groups, persistent=False)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Logits of normalised images."""
        features = unit_features(self.visual(images))
        classes = self.classifier if self.head is None else self.head.weight
        return _of_labels(_logits(features, classes, self.logit_scale), self.groups)  # type: ignore[arg-type]


class TextHead(nn.Module):
    """Trains both towers: the class vectors are the features of the prompts in the batch."""

    def __init__(self, clip: nn.Module, groups: LabelGroups | None = None) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("groups", groups, persistent=False)
        _freeze_rest(clip)

    def forward(self, images: Float[Tensor, "n 3 h w"], tokens: Int[Tensor, "c l"]) -> Float[Tensor, "n c"]:
        """Logits of normalised images against one prompt per class."""
        features = unit_features(self.clip.visual(images))  # type: ignore[operator]
        logits = _logits(features, encode_text(self.clip, tokens), self.clip.logit_scale)  # type: ignore[arg-type]
        return _of_labels(logits, self.groups)  # type: ignore[arg-type]


class PairHead(nn.Module):
    """Trains both towers by CLIP's contrastive loss (Radford et al. 2021), with class prompts that of FLYP (Goyal et
    al. 2023):

        loss = 1/2n sum_i [ -log softmax_j(s x_i . y_j)_i - log softmax_j(s x_j . y_i)_i ]

    x_i and y_i are the unit features of the batch's i-th image and its text, s = exp(logit_scale). An equal text of
    another image counts as wrong, as in both papers. With several ranks the batch is that of all ranks together, in the
    ranks' order.
    """

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip
        _freeze_rest(clip)

    def forward(self, images: Float[Tensor, "n 3 h w"], tokens: Int[Tensor, "n l"]) -> Float[Tensor, "2n all"]:
        """Logits of this rank's images among all ranks' texts, then of its texts among all images."""
        features = unit_features(self.clip.visual(images))  # type: ignore[operator]
        texts, scale = encode_text(self.clip, tokens), cast(Tensor, self.clip.logit_scale)
        among_texts = _logits(features, from_all_ranks(texts), scale)
        return torch.cat([among_texts, _logits(texts, from_all_ranks(features), scale)])


def _freeze_rest(clip: nn.Module) -> None:
    """Leaves both towers to train, and nothing else."""
    for name, parameter in clip.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and (name.startswith(VISUAL) or is_text_name(name)))


def build_module(
    model: ClipModel,
    head: Head,
    classifier: Float[Tensor, "c d"],
    *,
    gradient_checkpointing: bool,
    groups: LabelGroups | None = None,
) -> ImageHead | TextHead:
    """A module at theta_0 in train mode on the model's device, which shares no memory with the model.

    Args:
        model: the model to copy.
        head: decides which parts train.
        classifier: theta_0's zero-shot classifier of the speciality; ignored for `text`.
        gradient_checkpointing: whether to recompute activations in the backward pass.
        groups: the classes of each label, if a label may have several.

    Raises:
        FoundationError: gradient checkpointing is asked for and a tower has none.
    """
    match head:
        case "frozen" | "trained":
            visual = cast(nn.Module, copy.deepcopy(model.clip.visual))
            scale: Tensor = model.clip.logit_scale  # type: ignore[assignment]
            module: ImageHead | TextHead = ImageHead(
                visual,
                scale,
                classifier.to(model.device),
                trains_classifier=head == "trained",
                groups=groups,
            )
            _make_ready(module, [visual], gradient_checkpointing)
        case "text":
            module = TextHead(copy.deepcopy(model.clip), groups)
            _make_ready(module, _towers(module.clip), gradient_checkpointing)
        case _:
            assert_never(head)
    return module


def build_pairs(model: ClipModel, *, gradient_checkpointing: bool) -> PairHead:
    """Like `build_module`, for the contrastive loss."""
    module = PairHead(copy.deepcopy(model.clip))
    _make_ready(module, _towers(module.clip), gradient_checkpointing)
    return module


def _towers(clip: nn.Module) -> list[nn.Module]:
    text = clip.text if hasattr(clip, "text") else clip.transformer
    return [cast(nn.Module, clip.visual), cast(nn.Module, text)]


def _make_ready(module: nn.Module, towers: list[nn.Module], gradient_checkpointing: bool) -> None:
    if gradient_checkpointing:
        for tower in towers:
            _checkpoint(tower)
    module.train()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()  # running statistics would differ between ranks and be lost on a resume


def _of_labels(logits: Float[Tensor, "n c"], groups: LabelGroups | None) -> Float[Tensor, "n labels"]:
    return logits if groups is None else logits[:, groups].amax(dim=-1)


def _logits(features: Tensor, classes: Tensor, logit_scale: Tensor) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        return logit_scale.exp() * F.linear(features.float(), classes.float())


def _checkpoint(tower: nn.Module) -> None:
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import CustomResidualAttentionBlock, Transformer

    custom = any(isinstance(part, CustomResidualAttentionBlock) for part in tower.modules())
    if custom or isinstance(tower, ModifiedResNet):
        raise FoundationError(
            f"gradient_checkpointing has no effect on this model ({type(tower).__name__}"
            f"{' of custom blocks' if custom else ''}): open_clip cannot checkpoint it; set it to false"
        )
    if isinstance(tower, Transformer):
        tower.grad_checkpointing = True
    else:
        (tower.trunk if isinstance(tower, TimmModel) else tower).set_grad_checkpointing(True)  # type: ignore[operator]
