"""A recipe: everything that decides one training, as constants."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from rayforget.space.frozen import Frozen

Head = Literal["frozen", "trained", "text"]
Precision = Literal["fp32", "bf16", "fp16"]


class FullAdapter(Frozen):
    """Every weight that the head lets train is trained."""

    kind: Literal["full"] = "full"


class LoraAdapter(Frozen):
    """Low-rank adaptation: W = W0 + scale * B @ A, only A and B are trained (Hu et al. 2021)."""

    kind: Literal["lora"] = "lora"
    rank: PositiveInt
    """Rank r of B (out x r) and A (r x in)."""
    scale: PositiveFloat = 2.0
    """Factor in front of B @ A; peft's lora_alpha is scale * rank, so that a sweep over rank moves one thing."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the input of A while training."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj")
    """Names of the linear layers that get an adapter; a name that matches nothing is an error."""


Adapter = Annotated[FullAdapter | LoraAdapter, Field(discriminator="kind")]


class L1Penalty(Frozen):
    """strength * |theta - theta_0|_1 as a proximal step after the optimiser's; useful strengths: log 1e-3 to 1."""

    kind: Literal["l1"]
    strength: NonNegativeFloat


class L2Penalty(Frozen):
    """strength / 2 * |theta - theta_0|^2 as a proximal step; useful strengths: around 1 / sum of learning rates."""

    kind: Literal["l2"]
    strength: NonNegativeFloat


class CoupledL1Penalty(Frozen):
    """strength * |theta - theta_0|_1 inside the loss, as the papers have it; passes through Adam's scaling."""

    kind: Literal["l1_coupled"]
    strength: NonNegativeFloat


class CoupledL2Penalty(Frozen):
    """strength / 2 * |theta - theta_0|^2 inside the loss, as the papers have it; passes through Adam's scaling."""

    kind: Literal["l2_coupled"]
    strength: NonNegativeFloat


class Distillation(Frozen):
    """strength * T^2 * KL(p_theta_0 || p_theta) over the speciality's classes, on the training batch."""

    kind: Literal["kd"]
    strength: NonNegativeFloat
    temperature: PositiveFloat = 1.0
    """T, dividing both models' logits."""


Penalty = Annotated[
    L1Penalty | L2Penalty | CoupledL1Penalty | CoupledL2Penalty | Distillation,
    Field(discriminator="kind"),
]


class Recipe(Frozen):
    """Everything that decides a training, with nothing left to choose."""

    method: str
    """Name of the space's method that this recipe belongs to; `plain` for the baseline."""
    head: Head | None = None
    """Image-text models only: which classifier is trained against (see docs/architecture.md); null elsewhere."""
    adapter: Adapter = FullAdapter()
    """Full fine-tuning or LoRA."""
    penalties: tuple[Penalty, ...] = ()
    """What pulls the training towards theta_0; one of a kind at most."""
    learning_rate: PositiveFloat
    """Peak learning rate of AdamW."""
    epochs: PositiveInt
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
    """Training images: as evaluated; mirrored at random; mirrored and cut out at random (90-100 % of the area)."""
    precision: Precision = "fp32"
    """fp32, or autocast in bf16 or fp16 (with a gradient scaler); weights and optimiser state are always fp32."""
    gradient_checkpointing: bool = False
    """Trades time for memory: activations are computed again in the backward pass."""
    compile: bool = False
    """Runs the training step through torch.compile."""
    seed: NonNegativeInt
    """Which of the space's seeds; everything random in the training derives from it."""

    @property
    def key(self) -> str:
        """Twelve hex digits that name this recipe by its content."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]
