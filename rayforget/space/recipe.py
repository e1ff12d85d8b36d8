"""A recipe: everything that decides one training, as constants."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from rayforget.space.by_kind import ByKind
from rayforget.space.frozen import Frozen, Later, Problem
from rayforget.space.penalty import PENALTIES, PenaltyConfig

Head = Literal["frozen", "trained", "text"]
Objective = Literal["cross_entropy", "contrastive"]
Precision = Literal["fp32", "bf16", "fp16"]


def repeated(words: Iterable[str]) -> list[str]:
    """The words that occur more than once, sorted."""
    return sorted(word for word, count in Counter(words).items() if count > 1)


class FullAdapter(Frozen):
    """Trains every weight that the head lets train."""

    kind: Literal["full"] = "full"


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names))


class LoraAdapter(Later):
    """Low-rank adaptation: W = W0 + scale * B @ A, only A and B are trained (Hu et al. 2021)."""

    later = ("use_rslora", "use_dora", "modules_to_save", "loraplus_lr_ratio", "base")

    kind: Literal["lora"] = "lora"
    rank: PositiveInt
    """Rank r of B (out x r) and A (r x in)."""
    scale: PositiveFloat = 2.0
    """Factor before B @ A; peft's lora_alpha is scale * rank, so that a sweep over rank changes one thing."""
    use_rslora: bool = False
    """Rank-stabilised LoRA (Kalajdzievski 2023): the factor is scale / sqrt(rank), and peft's lora_alpha is scale."""
    use_dora: bool = False
    """DoRA (Liu et al. 2024): the length of every row of W is trained apart from its direction, which A and B change;
    alpha interpolates the merged weights, as for every method."""
    loraplus_lr_ratio: PositiveFloat = 1.0
    """LoRA+ (Hayou et al. 2024): B's learning rate is this times the others'; the paper advises about 16."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the input of A during training."""
    targets: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_sorted)] | None = None
    """Names of the linear layers that get an adapter, in any order (`[q_proj, v_proj]`); a name without a match is an
    error. `attention` and `mlp` stand for those of every block's attention or perceptron, `all-linear` for every linear
    layer but the last, the classifier or output layer, as null does."""
    modules_to_save: Annotated[tuple[str, ...], AfterValidator(_sorted)] = ()
    """Names of layers that are trained in full beside the adapters (`[embed_tokens, lm_head]`, `[ln_post]`); they are
    part of theta_1. A layer is either adapted or trained in full."""

    base: Literal["full", "nf4"] = "full"
    """nf4: QLoRA (Dettmers et al. 2023); the adapter is trained on linear layers in 4 bits, and merged into the base
    in full precision, from which alpha interpolates. Needs bitsandbytes: pip install 'rayforget[qlora]'."""

    def problems(self) -> Iterable[Problem]:
        """Layers named twice; DoRA on a base in 4 bits, whose rows have other lengths than the one merged into."""
        if self.base == "nf4" and self.use_dora:
            text = "found nf4 with use_dora: true; the rows of a base in 4 bits have other lengths: write one of them"
            yield Problem(at=("base",), text=text)
        for key, names in (("targets", self.targets or ()), ("modules_to_save", self.modules_to_save)):
            for name in repeated(names):
                yield Problem(at=(key,), text=f"found {name} more than once; name each layer once")
        for name in sorted({*(self.targets or ())} & {*self.modules_to_save}):
            text = f"found {name} in targets too; a layer is either adapted or trained in full: name it once"
            yield Problem(at=("modules_to_save",), text=text)


Adapter = Annotated[FullAdapter | LoraAdapter, Field(discriminator="kind")]


Penalty = Annotated[
    PenaltyConfig,
    ByKind(
        title="Penalty",
        registry=PENALTIES,
        model=lambda penalty: penalty,
    ),
]


def _by_kind(penalties: tuple[Penalty, ...]) -> tuple[Penalty, ...]:
    return tuple(sorted(penalties, key=lambda penalty: penalty.kind))


class Recipe(Later):
    """Everything that decides a training, as constants."""

    later = ("objective",)

    method: str
    """The space's method that this recipe belongs to; `plain` for the baseline."""
    head: Head | None = None
    """Image-text models only: the classifier to train against (see docs/architecture.md); null elsewhere."""
    objective: Objective = "cross_entropy"
    """Image-text models only: cross-entropy over the speciality's classes, or CLIP's contrastive loss over the batch's
    images and their texts: captions, or with classes one of an image's prompts (FLYP, Goyal et al. 2023). The latter
    needs head: text."""
    adapter: Adapter = FullAdapter()
    """Full fine-tuning or LoRA."""
    penalties: Annotated[tuple[Penalty, ...], AfterValidator(_by_kind)] = ()
    """Pulls towards theta_0 during training; at most one of a kind, in any order (kept sorted by kind)."""
    learning_rate: PositiveFloat
    """Peak learning rate of AdamW."""
    epochs: Annotated[int, Field(gt=0, le=10_000)]
    """Passes over the training set."""
    batch_size: PositiveInt
    """Items per optimiser step, over all workers and accumulated micro-batches together."""
    accumulation: PositiveInt = 1
    """Micro-batches per optimiser step."""
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps in which the learning rate rises linearly, before the cosine falls to zero."""
    weight_decay: NonNegativeFloat = 0.1
    """AdamW's decoupled weight decay, towards zero; not applied to vectors (biases, norms)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target mass spread evenly over the classes."""
    clip_norm: PositiveFloat | None = 1.0
    """Largest L2 norm of the whole gradient; null does not clip."""
    augmentation: Literal["none", "flip", "crop"] = "none"
    """Training images: as evaluated; randomly mirrored; randomly mirrored and cropped (90-100 % of the area)."""
    precision: Precision = "fp32"
    """fp32, or autocast in bf16 or fp16 (with a gradient scaler); weights and optimiser state are always fp32."""
    gradient_checkpointing: bool = False
    """Trades time for memory: activations are recomputed in the backward pass."""
    compile: bool = False
    """Runs the training step through torch.compile."""
    seed: NonNegativeInt
    """One of the space's seeds; all randomness of the training derives from it."""

    def problems(self) -> Iterable[Problem]:
        """Settings that contradict each other."""
        for kind in repeated(penalty.kind for penalty in self.penalties):
            yield Problem(at=("penalties", kind), text=f"found more than one of kind {kind}; write one")
        if self.adapter.kind == "lora":
            for penalty in self.penalties:
                if penalty.instead_with_lora is not None:
                    text = (
                        f"found {penalty.kind} with adapter.kind: lora; its proximal step moves whole weights and LoRA "
                        f"trains none: write {penalty.instead_with_lora} or drop the adapter"
                    )
                    yield Problem(at=("penalties", penalty.kind), text=text)
            if self.in_4_bits and self.compile:
                text = "found true with adapter.base: nf4, which is not compiled; write compile: false, or base: full"
                yield Problem(at=("compile",), text=text)
        if self.objective == "contrastive":
            yield from self._contrastive_problems()
        if self.batch_size % self.accumulation:
            text = (
                f"found batch_size {self.batch_size} with accumulation {self.accumulation}; accumulation must divide "
                f"the batch size: change one of them"
            )
            yield Problem(at=("accumulation",), text=text)

    def _contrastive_problems(self) -> Iterable[Problem]:
        if self.head != "text":
            text = (
                f"found contrastive with head: {self.head or 'null'}; it trains both towers of an image-text model: "
                "write head: text, or objective: cross_entropy"
            )
            yield Problem(at=("objective",), text=text)
        if self.accumulation > 1:
            text = (
                f"found contrastive with accumulation: {self.accumulation}; the loss compares all images of a batch "
                "with each other: write accumulation: 1 (gradient_checkpointing: true saves memory)"
            )
            yield Problem(at=("objective",), text=text)
        if self.batch_size < 2:
            text = "found contrastive with batch_size: 1; the loss compares pairs with each other: write 2 or more"
            yield Problem(at=("objective",), text=text)

    @property
    def in_4_bits(self) -> bool:
        """Whether an adapter is trained on a base in 4 bits."""
        return self.adapter.kind == "lora" and self.adapter.base == "nf4"

    @property
    def key(self) -> str:
        """Twelve hex digits that identify this recipe by its content."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]
