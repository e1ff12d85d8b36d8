"""A learner and a recipe -> theta_1 at each chosen fraction of the training."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rayforget.distributed import from_rank_0, rank
from rayforget.eviction import EvictedError, must_go
from rayforget.foundations.protocol import Learner
from rayforget.space.recipe import Recipe
from rayforget.train.penalties.hooks import Sources
from rayforget.train.schedule import checkpoint_steps
from rayforget.train.trainer import Trainer

_log = logging.getLogger(__name__)
_SAVING = 1 / 20
"""Largest share of a training's time to spend on saving it."""
_ASK_EVERY = 8
"""Steps between asking rank 0 whether to save; each time all ranks and devices wait."""

_OF = "training"
"""The key under which a state has `_identity`; states of earlier versions lack it."""

Progress = Callable[[int, int], None]
"""Called with (steps done, total steps) after every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """theta_1 as it is after some steps."""

    step: int
    fraction: float
    theta_1: Mapping[str, Tensor]
    """All canonical tensors, adapters merged, on the CPU in fp32."""
    theta_1_in_4_bits: Mapping[str, Tensor] | None = None
    """The same adapters merged into the 4-bit base that they were trained on (QLoRA); None without one."""
    facts: Mapping[str, Any]
    """Loss of the last step, skipped steps, seconds of training so far."""


def train(
    learner: Learner,
    recipe: Recipe,
    *,
    seed: int,
    fractions: tuple[float, ...],
    resume: Mapping[str, Any] | None = None,
    save: Callable[[Mapping[str, Any]], None] | None = None,
    save_every_s: float = 60.0,
    progress: Progress | None = None,
    sharded: bool = False,
    sources: Sources | None = None,
) -> Iterator[Snapshot]:
    """Fine-tunes and yields a snapshot at each of `fractions`.

    Runs alike in one process, under torchrun and in a Ray Train worker: every rank calls it with the same arguments.
    Between two snapshots the caller may use the device; only dropout draws from the global random generators, and it is
    reseeded at every step.

    Args:
        learner: fresh, at theta_0; it is trained in place.
        recipe: the recipe to train by.
        seed: all randomness of the training derives from it.
        fractions: shares of the training in (0, 1].
        resume: a state passed to `save` in an earlier run of the same training; steps already done are not repeated,
            and neither are snapshots before that state's step. A state of other data, or of another number of steps, is
            left alone with a warning, and the training begins anew.
        save: takes the state to resume from, on rank 0, about every `save_every_s` seconds and at each snapshot except
            the last, whose record follows at once. After a slow save, twenty times its duration pass before the next.
        save_every_s: seconds between two saves.
        progress: called on every rank after every step.
        sharded: each rank keeps a share of the weights (FSDP2) instead of all of them (DDP).
        sources: what penalties may ask of other data; without it, penalties that need other data are refused.

    Raises:
        TrainingError: on every rank alike, if a loss or a gradient is not finite.
        EvictedError: after a save, if a host of the training goes (`eviction`); on rank 0, if sharded on every rank.
    """
    trainer = Trainer(learner, recipe, seed=seed, sharded=sharded, sources=sources)
    if resume is not None and from_rank_0(_is_of(resume, trainer), trainer.device):
        trainer.load_state_dict(resume)
    resume = None  # frees its memory: 12 bytes a weight
    snapshots = checkpoint_steps(fractions, trainer.total_steps)
    clock = _SaveClock(save_every_s)
    with _deterministic_dropout(recipe, trainer.device):
        if trainer.step in snapshots:
            yield _snapshot(trainer, snapshots[trainer.step])
        while trainer.step < trainer.total_steps:
            trainer.take_step()
            if progress is not None:
                progress(trainer.step, trainer.total_steps)
            due = trainer.step in snapshots
            if save is not None and trainer.step < trainer.total_steps:
                saves, goes = _saves_now(trainer, clock, due, sharded)
                if saves:
                    started = time.monotonic()
                    state = trainer.state_dict()  # if sharded, all ranks together
                    if rank() == 0:
                        save({**state, _OF: _identity(trainer)})
                    clock.saved(started)
                if goes:
                    raise EvictedError(f"its host goes: saved at step {trainer.step} of {trainer.total_steps}")
            if due:
                yield _snapshot(trainer, snapshots[trainer.step])


def _identity(trainer: Trainer) -> dict[str, Any]:
    """What tells a training's states from those of another with the same recipe and seed."""
    return {"steps": trainer.total_steps, "data": trainer.learner.data_hash}


def _is_of(state: Mapping[str, Any], trainer: Trainer) -> bool:
    """Whether a state is of this training: of its data, and not beyond its end."""
    step, own = state["step"], _identity(trainer)
    if step <= trainer.total_steps and state.get(_OF, own) == own:
        return True
    _log.warning(
        "the training begins anew: the state that was saved at step %d is of other training data, or of another number "
        "of steps, than this training of %d steps", step, trainer.total_steps,
    )  # fmt: skip
    return False


class _SaveClock:
    """Decides when the next save is due: once the last one's duration is a twentieth of the time since."""

    def __init__(self, every_s: float) -> None:
        self._every_s, self._last, self._duration = every_s, time.monotonic(), 0.0

    def allows(self, *, snapshot: bool) -> bool:
        """Whether to save now; a snapshot does not wait for `every_s`."""
        since = time.monotonic() - self._last
        return (snapshot or since > self._every_s) and since >= self._duration / _SAVING

    def saved(self, started: float) -> None:
        """Records a save that began at `started` and ends now."""
        self._last = time.monotonic()
        self._duration = self._last - started


def _saves_now(trainer: Trainer, clock: _SaveClock, snapshot: bool, sharded: bool) -> tuple[bool, bool]:
    """Whether to save, and whether to end then; on rank 0, or if sharded on every rank."""

    def decide() -> tuple[bool, bool]:
        goes = must_go()
        return goes or clock.allows(snapshot=snapshot), goes

    if not sharded:
        return decide() if rank() == 0 else (False, False)
    asks = snapshot or trainer.step % _ASK_EVERY == 0
    return from_rank_0(decide(), trainer.device) if asks else (False, False)


def _snapshot(trainer: Trainer, fraction: float) -> Snapshot:
    return Snapshot(
        step=trainer.step,
        fraction=fraction,
        theta_1=trainer.theta_1(),
        theta_1_in_4_bits=trainer.theta_1(in_4_bits=True) if trainer.recipe.in_4_bits else None,
        facts=trainer.facts(),
    )


def _deterministic_dropout(recipe: Recipe, device: torch.device) -> Any:
    uses_dropout = recipe.adapter.kind == "lora" and recipe.adapter.dropout > 0
    if not uses_dropout:
        return nullcontext()
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
