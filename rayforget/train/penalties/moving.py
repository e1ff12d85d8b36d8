"""Penalties that move the weights after a step, and whether what they write can be trained on."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from rayforget.distributed import all_reduce_sum
from rayforget.errors import TrainingError
from rayforget.space.penalty import PENALTIES
from rayforget.train.penalties.hooks import Hooks
from rayforget.train.sharding import own_shares


def move(
    hooks_of: Mapping[str, Hooks], learning_rate: float, weights: Iterable[Tensor], *, watched: str | None
) -> None:
    """Calls every penalty's `after_step`.

    Args:
        hooks_of: hooks by kind.
        learning_rate: of the step that was taken.
        weights: what is trained.
        watched: the step, for a message, if another package's penalty is to be looked at: it waits for the device.

    Raises:
        TrainingError: on every rank, if it is, and it wrote numbers that are not finite.
    """
    with torch.no_grad():
        for kind, hooks in hooks_of.items():
            hooks.after_step(learning_rate)
            if watched and _is_foreign_mover(kind, hooks) and not all_finite(weights):
                raise TrainingError(
                    f"after_step of {PENALTIES.called(kind)} wrote weights that are not finite (NaN or infinite) at "
                    f"{watched}; mend it"
                )


def movers(hooks_of: Mapping[str, Hooks]) -> str:
    """Other packages' penalties that move weights, for messages; empty if none does."""
    return " and ".join(PENALTIES.called(kind) for kind, hooks in hooks_of.items() if _is_foreign_mover(kind, hooks))


def all_finite(weights: Iterable[Tensor]) -> bool:
    """Whether all weights of all ranks are finite; every rank must ask."""
    shares = own_shares(weights)
    if not shares:
        return True
    broken = torch.stack([(~torch.isfinite(share)).sum() for share in shares]).sum()
    return int(all_reduce_sum(broken.double())) == 0


def _is_foreign_mover(kind: str, hooks: Hooks) -> bool:
    return kind not in PENALTIES.own and type(hooks).after_step is not Hooks.after_step
