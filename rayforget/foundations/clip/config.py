"""A space file's settings of an open_clip model."""

from collections.abc import Iterable
from typing import Literal

from rayforget.space.foundation import FoundationConfig
from rayforget.space.frozen import Problem
from rayforget.space.paths import LOCAL_FOLDER, ModelName, TagOrFile, is_weights_file

Channels = tuple[float, float, float]
OF_FILES = ("like", "quick_gelu", "mean", "std", "interpolation", "resize_mode")
"""Keys that say how a file of weights is run."""


class ClipFoundation(FoundationConfig):
    """An open_clip model."""

    kind: Literal["clip"]
    model: ModelName
    """open_clip's model name (`ViT-B-16`), `hf-hub:OWNER/NAME`, `local-dir:FOLDER`, or `builtin` for the tiny one."""
    pretrained: TagOrFile | None = None
    """For a model name: open_clip's pretrained tag (`laion2b_s34b_b88k`), or a file of weights (`./weights.pt`). Beside
    a folder, `hf-hub:` or `builtin`: a file of other weights for that architecture, run as the folder says."""
    like: str | None = None
    """For a file: the tag that its weights come from, whose activation and preprocessing they want. Null takes it from
    the file's name or hash, or what all tags of the model have in common."""
    quick_gelu: bool | None = None
    """For a file: its activation, in place of the tag's."""
    mean: Channels | None = None
    """For a file: the mean of each channel that is subtracted, of values in [0, 1]; in place of the tag's."""
    std: Channels | None = None
    """For a file: the standard deviation of each channel that is divided by; in place of the tag's."""
    interpolation: Literal["bicubic", "bilinear"] | None = None
    """For a file: how images are resized; in place of the tag's."""
    resize_mode: Literal["shortest", "longest", "squash"] | None = None
    """For a file: which side gets the model's size before the crop or the padding; in place of the tag's."""
    revision: str | None = None
    """Commit of a hub model (`hf-hub:`); null takes the newest, and the record names the commit used."""

    trust_remote_code: bool = False
    """Whether Python code that a folder or a hub model brings (for its tokenizer) may run."""

    def problems(self) -> Iterable[Problem]:
        """A tag or a revision that would not be read, or no tag if a name alone would mean random weights."""
        whole = self.model == "builtin" or self.model.startswith(("hf-hub:", LOCAL_FOLDER))
        if whole and self.pretrained is not None and not is_weights_file(self.pretrained):
            text = f"found {self.pretrained!r} with model: {self.model}, which brings its own weights: remove it"
            yield Problem(at=("pretrained",), text=text)
        if self.revision is not None and not self.model.startswith("hf-hub:"):
            text = f"found {self.revision!r} with model: {self.model}, which is no hub model: remove it"
            yield Problem(at=("revision",), text=text)
        if whole or self.pretrained is None or not is_weights_file(self.pretrained):
            for key in OF_FILES:
                if (value := getattr(self, key)) is not None:
                    without = f"beside model: {self.model}" if whole else "without a file in `pretrained:`"
                    text = f"found {value!r} {without}; a tag and a folder bring it: remove it"
                    yield Problem(at=(key,), text=text)
        if self.std is not None and min(self.std) <= 0:
            yield Problem(
                at=("std",), text=f"found {list(self.std)}, by which pixels are divided: write numbers above 0"
            )
        if not whole and self.pretrained is None:
            text = (
                f"found {self.model!r} without a pretrained tag, which means random weights; add `pretrained:` "
                f"(open_clip.list_pretrained() names them), or write local-dir:FOLDER or hf-hub:OWNER/NAME"
            )
            yield Problem(at=("model",), text=text)
