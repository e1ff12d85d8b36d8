"""A penalty before any training: its place in a recipe, its needs, and whether it fits; imports no torch.

It is found by its `kind`: one line in `PENALTIES`, or an entry point `rayforget.penalties` of another package. Its part
in a training is defined by `rayforget.train.penalties.hooks.Penalty`, which every penalty subclasses.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from pydantic import NonNegativeFloat

from rayforget.errors import BrokenExtensionError
from rayforget.extensions.registry import Registry, kind_fault
from rayforget.space.frozen import Frozen, Problem

T = TypeVar("T")

Span = tuple[float, float]
"""(smallest, largest)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a penalty keeps for each trained weight besides its gradient and moments, for the plan."""

    theta_0: bool = False
    """A copy of theta_0; the penalties of a training share it."""
    rounded: bool = False
    """Whether that copy may be in bf16 if the training computes in bf16, which suffices for a teacher's forward."""
    further: int = 0
    """Further fp32 numbers per weight; a Fisher information is one."""
    teacher: bool = False
    """A forward of theta_0 in every step, which costs time and no memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsefulStrengths:
    """Strengths that have an effect and leave something to learn; `check` warns about domains outside."""

    low: float
    """Below it the penalty does next to nothing."""
    high: float
    too_strong: str
    """Its effect on a model from `high` on: `freezes the model`."""
    partly: str | None = None
    """The remark on a domain that only partly reaches beyond `high`; None makes none."""


class PenaltyConfig(Frozen):
    """A pull of a given strength towards theta_0 during training."""

    kind: str
    strength: NonNegativeFloat
    """Weight of the penalty; 0 trains as without it, bit for bit."""

    instead_with_lora: ClassVar[str | None] = None
    """The setting to use with a LoRA instead of a penalty on whole weights, which LoRA does not train: `kind:
    l2_coupled (...)`. None if the penalty is also defined on scale * B @ A."""

    def needs(self, *, lora: bool) -> Needs:
        """What it keeps during training; `lora`: whether an adapter is trained instead of whole weights."""
        return Needs()

    def useful_strengths(self, learning_rate_sums: Span) -> UsefulStrengths | None:
        """Strengths worth a search; None if nothing is known about them.

        Args:
            learning_rate_sums: over all steps of the shortest and slowest, and of the longest and fastest training.
        """
        return None

    def misfits(self, splits: Mapping[str, Collection[str]]) -> Iterable[Problem]:
        """Settings that name something that the space does not have.

        Args:
            splits: the space's tasks, by name, each with the splits that may be named here.
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
    base="rayforget.train.penalties.hooks:Penalty",
    must=("prepare",),
    fault=kind_fault,
)


def given_by(penalty: PenaltyConfig, hook: str, found: object, kind: type[T]) -> T:
    """What a penalty's hook gave, which rayforget's own code relies on.

    Raises:
        BrokenExtensionError: it is of another kind.
    """
    if isinstance(found, kind):
        return found
    shown = "None" if found is None else f"an object of type {type(found).__name__}"
    expected = f"{kind.__module__}.{kind.__qualname__}"
    raise BrokenExtensionError(f"{PENALTIES.called(penalty.kind)} gave {shown} from {hook}; expected {expected}")
