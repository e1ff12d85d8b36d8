"""One training under way: the module, its optimiser, and a single step with the recipe's penalties."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rayforget.distributed import all_reduce_sum, is_distributed, rank, world_size
from rayforget.errors import TrainingError
from rayforget.foundations.protocol import Batch, Learner
from rayforget.space.recipe import (
    CoupledL1Penalty,
    CoupledL2Penalty,
    Distillation,
    L1Penalty,
    L2Penalty,
    Recipe,
)
from rayforget.space.seeds import derive_seed
from rayforget.train.lora import attach_lora, lora_factors, merged_weights
from rayforget.train.optimiser import adamw, clip_gradients, set_learning_rate
from rayforget.train.penalties.coupled import add_coupled_gradient, add_coupled_lora_gradient
from rayforget.train.penalties.l1 import l1_proximal_step
from rayforget.train.penalties.l2 import l2_proximal_step
from rayforget.train.pieces import loss_in_pieces, piece_size
from rayforget.train.schedule import learning_rate_factor, num_steps, step_indices
from rayforget.train.sharding import gathered, load_whole, own_shares, shard, sharded_optimiser, whole_optimiser
from rayforget.train.teacher import Pull, live_pull, start_values

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_MAX_SKIPPED_IN_A_ROW = 20


class Trainer:
    """A learner being trained by a recipe; `take_step` until `step == total_steps`."""

    def __init__(self, learner: Learner, recipe: Recipe, *, seed: int, sharded: bool = False) -> None:
        """Sets a learner up.

        Args:
            learner: fresh, at theta_0; it is trained in place.
            recipe: what to do.
            seed: everything random in the training derives from it.
            sharded: each rank keeps a share of every weight (FSDP2) instead of all of them (DDP).
        """
        self.learner, self.recipe, self.seed = learner, recipe, seed
        self.total_steps = num_steps(num_items=learner.num_items, epochs=recipe.epochs, batch_size=recipe.batch_size)
        self.step, self._resumed_from = 0, 0
        self._skipped, self._skipped_in_a_row, self._loss = 0, 0, float("nan")

        module = learner.module
        if recipe.adapter.kind == "lora":
            attach_lora(module, recipe.adapter, seed=derive_seed(seed, "lora"), output=learner.output)
        self._sharded = sharded and is_distributed()
        if self._sharded:
            shard(module, learner.device)
        self._factors = lora_factors(module) if recipe.adapter.kind == "lora" else []
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.device = learner.device
        self._penalties = [penalty for penalty in recipe.penalties if penalty.strength > 0]
        self._distillation = next((p for p in self._penalties if isinstance(p, Distillation)), None)
        factor_ids = {id(factor) for lora in self._factors for factor in (lora.a, lora.b)}
        dense = {name: p for name, p in self._trained.items() if id(p) not in factor_ids}
        self._start = self._start_values(dense)
        self._dense_by_name = dense
        self._dense: list[Tensor] = list(dense.values())
        self._dense_start = list(self._start.values())
        self._optimiser = adamw(
            self._trained.values(), learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        self._ddp: DistributedDataParallel | None = None
        if world_size() > 1 and not self._sharded:
            self._ddp = DistributedDataParallel(module, forward_sync_buffers=False, gradient_as_bucket_view=True)
        wrapped: nn.Module = self._ddp or module
        self._forward = torch.compile(wrapped) if recipe.compile else wrapped

    def take_step(self) -> None:
        """One optimiser step over `batch_size` items of all ranks together, then the proximal steps.

        Raises:
            TrainingError: on every rank, before the optimiser's step, when a loss is not finite on any rank, a
                gradient is not finite without a scaler, or a scaler skipped 20 steps in a row.
        """
        learning_rate = self.recipe.learning_rate * learning_rate_factor(
            self.step, total_steps=self.total_steps, warmup_fraction=self.recipe.warmup_fraction
        )
        set_learning_rate(self._optimiser, learning_rate)
        loss = self._accumulate_gradients(self._micro_batches())
        self._scaler.unscale_(self._optimiser)
        self._add_coupled_gradients()
        norm = clip_gradients(list(self._trained.values()), self.recipe.clip_norm)
        # The one place where a step waits for its device.
        self._loss, found_norm = torch.stack([loss, norm.to(loss.dtype)]).tolist()
        finite = math.isfinite(found_norm)
        self._refuse_non_finite(finite)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        if finite:
            self._proximal_steps(learning_rate)
        self.step += 1

    def _micro_batches(self) -> list[Batch]:
        indices = step_indices(
            self.step,
            num_items=self.learner.num_items,
            batch_size=self.recipe.batch_size,
            seed=derive_seed(self.seed, "order"),
        )
        mine = torch.from_numpy(indices[rank() :: world_size()])
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", str(self.step), str(rank())))
        if self.recipe.adapter.kind == "lora" and self.recipe.adapter.dropout > 0:
            torch.manual_seed(derive_seed(self.seed, "dropout", str(self.step), str(rank())))
        return [self.learner.batch(part, generator) for part in mine.chunk(self.recipe.accumulation)]

    def _accumulate_gradients(self, batches: list[Batch]) -> Tensor:
        """Leaves the gradients of the mean loss; returns that mean over all ranks' targets, a scalar in fp64.

        It is finite if and only if every rank's losses are, so that all ranks see alike whether they may go on.
        """
        count = sum(len(batch.targets) for batch in batches)
        num_targets = all_reduce_sum(torch.tensor(count, dtype=torch.float64, device=self.device))
        # DDP averages over ranks what should be summed: undo it, then divide by the targets of all ranks.
        factor = (world_size() / num_targets).float()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        for position, batch in enumerate(batches):
            loss = self._loss_of(batch, last=position == len(batches) - 1)
            self._scaler.scale(loss * factor).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.detach()
        return all_reduce_sum(loss_sum) / num_targets

    def _loss_of(self, batch: Batch, *, last: bool) -> Tensor:
        """Sum of the loss over the batch's targets, a scalar in fp32."""
        dtype = _AUTOCAST.get(self.recipe.precision)
        module, output, targets = self.learner.module, self.learner.output, batch.targets
        with torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            pull = self._pull_of(batch)
            if self._ddp is not None:
                self._ddp.require_backward_grad_sync = last
            found: Tensor = self._forward(**batch.inputs)
            if output is None:
                return self._judge(found, targets, slice(None), pull)

            def loss_of(features: Tensor, piece: slice) -> Tensor:
                return self._judge(module.forward(features=features), targets, piece, pull)

            trained = [parameter for parameter in output.parameters() if parameter.requires_grad]
            return loss_in_pieces(found, loss_of, trained, size=piece_size(int(output.out_features)))  # type: ignore[arg-type]

    def _pull_of(self, batch: Batch) -> Pull | None:
        """What distillation adds to the batch's loss; theta_0 is asked here, before the student."""
        if self._distillation is None:
            return None
        return live_pull(
            self._distillation,
            self.learner.module,
            self.learner.output,
            self._dense_by_name,
            self._start,
            batch.inputs,
            sharded=self._sharded,
        )

    def _judge(self, logits: Tensor, targets: Tensor, piece: slice, pull: Pull | None) -> Tensor:
        """Sum of the loss over a piece of the targets, a scalar in fp32, from their logits (n, num_classes)."""
        # First the pull: what it needs for a moment is gone before the cross-entropy keeps its own.
        pulled = None if pull is None else pull(logits, piece)
        smoothing = self.recipe.label_smoothing
        loss = F.cross_entropy(logits.float(), targets[piece], reduction="sum", label_smoothing=smoothing)
        return loss if pulled is None else loss + pulled

    def _add_coupled_gradients(self) -> None:
        for penalty in self._penalties:
            match penalty:
                case CoupledL1Penalty(strength=strength):
                    add_coupled_gradient(self._dense, self._dense_start, strength, "l1")
                    add_coupled_lora_gradient(self._factors, strength, "l1")
                case CoupledL2Penalty(strength=strength):
                    add_coupled_gradient(self._dense, self._dense_start, strength, "l2")
                    add_coupled_lora_gradient(self._factors, strength, "l2")
                case L1Penalty() | L2Penalty() | Distillation():
                    pass

    def _proximal_steps(self, learning_rate: float) -> None:
        for penalty in self._penalties:
            match penalty:
                case L1Penalty(strength=strength):
                    l1_proximal_step(own_shares(self._dense), own_shares(self._dense_start), learning_rate * strength)
                case L2Penalty(strength=strength):
                    l2_proximal_step(own_shares(self._dense), own_shares(self._dense_start), learning_rate * strength)
                case CoupledL1Penalty() | CoupledL2Penalty() | Distillation():
                    pass

    def _refuse_non_finite(self, finite: bool) -> None:
        if not math.isfinite(self._loss):
            raise TrainingError(
                f"the loss is not finite at step {self.step + 1} of {self.total_steps}; lower learning_rate "
                f"(now {self.recipe.learning_rate:g}) or use precision fp32"
            )
        if finite:
            self._skipped_in_a_row = 0
            return
        if not self._scaler.is_enabled():
            raise TrainingError(
                f"a gradient is not finite at step {self.step + 1} of {self.total_steps}; lower learning_rate "
                f"(now {self.recipe.learning_rate:g}) or use precision fp32"
            )
        self._skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            raise TrainingError(
                f"fp16's gradient scaler skipped {self._skipped_in_a_row} steps in a row up to step {self.step + 1}; "
                "use precision bf16 or fp32"
            )

    def _start_values(self, dense: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """theta_0's values of the trained weights that are no LoRA's, where a penalty asks for them.

        A teacher that runs under bf16 autocast keeps its matrices in bf16: half the memory, rounded before its layers
        instead of inside them.
        """
        if not self._penalties or not dense:
            return {}
        teacher_only = self._distillation is not None and len(self._penalties) == 1
        return start_values(dense, self.learner.module, rounded=teacher_only and self.recipe.precision == "bf16")

    def theta_1(self) -> dict[str, Tensor]:
        """The weights as they are now, adapters merged, under canonical names, on CPU in fp32."""
        return self.learner.canonical(merged_weights(self.learner.module, self._factors))

    def facts(self) -> dict[str, Any]:
        """What is worth recording of the training so far."""
        return {
            "loss": self._loss,
            "skipped_steps": self._skipped,
            "steps": self.step,
            "total_steps": self.total_steps,
            "resumed_from": self._resumed_from,
            **self.learner.facts,
        }

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` of a fresh trainer needs to go on as if nothing had happened.

        Of shards every rank must call it: rank 0 gets whole tensors on CPU, with which any number of ranks can go on,
        the others get an empty state. Else its tensors are the training's own: save or copy them before the next step.
        """
        trained = {name: gathered(p.detach()) for name, p in self._trained.items()}
        optimiser = whole_optimiser(self._optimiser.state_dict())
        if self._sharded and rank() != 0:
            return {}
        return {
            "step": self.step,
            "trained": trained,
            "optimiser": optimiser,
            "scaler": self._scaler.state_dict(),
            "skipped": [self._skipped, self._skipped_in_a_row],
            "loss": self._loss,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over a state of the same recipe and seed."""
        self.step = self._resumed_from = state["step"]
        for name, parameter in self._trained.items():
            load_whole(parameter, state["trained"][name])
        weights = [parameter for group in self._optimiser.param_groups for parameter in group["params"]]
        self._optimiser.load_state_dict(sharded_optimiser(state["optimiser"], weights))
        self._scaler.load_state_dict(state["scaler"])
        self._skipped, self._skipped_in_a_row = state["skipped"]
        self._loss = state["loss"]
