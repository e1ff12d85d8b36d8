"""What a penalty is before any training: its place in a recipe, what it needs, and whether it fits; knows no torch.

It is found by its `kind`: one line in `PENALTIES`, or an entry point `rayforget.penalties` of another package. What it
does in a training is said by `rayforget.train.penalties.hooks.Penalty`, of which every one of them is a subclass.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeFloat

from rayforget.extensions import Registry
from rayforget.space.frozen import Frozen, Problem

Span = tuple[float, float]
"""(smallest, largest)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a penalty keeps for each trained weight beside its gradient and moments; counted by the plan."""

    theta_0: bool = False
    """A copy of theta_0; penalties of one training share it."""
    rounded: bool = False
    """Whether that copy may be in bf16 where the training computes in bf16: enough for a teacher's forward."""
    further: int = 0
    """Further numbers in fp32 of its own: a Fisher information is one."""
    teacher: bool = False
    """A forward of theta_0 in every step: time, and no memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsefulStrengths:
    """Where a penalty does something and leaves something to learn; `check` warns of domains outside."""

    low: float
    """Below it does next to nothing."""
    high: float
    too_strong: str
    """What it does to a model from `high` on: `freezes the model`."""
    partly: str | None = None
    """What is said of a domain that only reaches beyond `high`; None says nothing."""


class PenaltyConfig(Frozen):
    """What pulls a training towards theta_0, of a stated strength."""

    kind: str
    strength: NonNegativeFloat
    """Weight of the penalty; 0 trains as without it, bit for bit."""

    instead_with_lora: ClassVar[str | None] = None
    """What to write with a LoRA, for a penalty on whole weights, of which LoRA trains none: `kind: l2_coupled (...)`.
    None where the penalty is defined on scale * B @ A as well."""

    def needs(self, *, lora: bool) -> Needs:
        """What it keeps while it trains; `lora`: whether an adapter is trained instead of whole weights."""
        return Needs()

    def useful_strengths(self, learning_rate_sums: Span) -> UsefulStrengths | None:
        """Strengths that are worth a search; None where nothing is known of them.

        Args:
            learning_rate_sums: of the shortest and slowest, and of the longest and fastest training, over all steps.
        """
        return None

    def misfits(self, splits: Mapping[str, Collection[str]]) -> Iterable[Problem]:
        """Settings that name what the space does not have.

        Args:
            splits: the space's tasks, by name, and the splits that each may be asked for here.
        """
        return ()


PENALTIES: Registry[type[PenaltyConfig]] = Registry(
    group="rayforget.penalties",
    noun="penalty",
    own={
        "ewc": "rayforget.train.penalties.ewc:EwcPenalty",
        "kd": "rayforget.train.penalties.kd:Distillation",
        "l1": "rayforget.train.penalties.l1:L1Penalty",
        "l1_coupled": "rayforget.train.penalties.l1_coupled:CoupledL1Penalty",
        "l2": "rayforget.train.penalties.l2:L2Penalty",
        "l2_coupled": "rayforget.train.penalties.l2_coupled:CoupledL2Penalty",
    },
)
