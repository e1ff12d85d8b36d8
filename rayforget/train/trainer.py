"""One running training: the module, its optimiser, and a single step with the recipe's penalties."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rayforget.determinism import seed_global_generators
from rayforget.distributed import all_reduce_sum, is_distributed, rank, world_size
from rayforget.errors import FoundationError, TrainingError
from rayforget.extensions.use import blame
from rayforget.foundations.protocol import Batch, Learner
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.space.seeds import derive_seed
from rayforget.train.adapters_in_use import refuse_without_gradient
from rayforget.train.ahead import Ahead, parts_of
from rayforget.train.between_ranks import Exchange
from rayforget.train.compiled import compile_blocks, compiled
from rayforget.train.half_base import keep_in_half
from rayforget.train.lora import attach_lora, lora_factors, merged_weights
from rayforget.train.lora_targets import saved_parts
from rayforget.train.optimiser import adamw, clip_gradients, set_learning_rate
from rayforget.train.penalties.hooks import Hooks, Sources, Training
from rayforget.train.penalties.moving import all_finite, move, movers
from rayforget.train.penalties.prepare import idle_hooks, needs_of, not_finite_pulls, prepare_hooks, pulled, try_keeping
from rayforget.train.pieces import loss_in_pieces, piece_size
from rayforget.train.schedule import learning_rate_factor, num_steps
from rayforget.train.sharding import gathered, load_whole, shard, sharded_optimiser, whole_optimiser
from rayforget.train.teacher import start_values

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_MAX_SKIPPED_IN_A_ROW = 20


class Trainer:
    """Trains a learner by a recipe; call `take_step` until `step == total_steps`."""

    def __init__(
        self,
        learner: Learner,
        recipe: Recipe,
        *,
        seed: int,
        sharded: bool = False,
        sources: Sources | None = None,
    ) -> None:
        """Sets a learner up.

        Args:
            learner: fresh, at theta_0; it is trained in place.
            recipe: the recipe to train by.
            seed: all randomness of the training derives from it.
            sharded: each rank keeps a share of every weight (FSDP2) instead of all of them (DDP).
            sources: what penalties may ask of other data.
        """
        self.learner, self.recipe, self.seed = learner, recipe, seed
        self.total_steps = num_steps(num_items=learner.num_items, epochs=recipe.epochs, batch_size=recipe.batch_size)
        self.step, self._resumed_from, self._loss = 0, 0, math.nan
        self._skipped, self._skipped_in_a_row = 0, 0
        self._parts: list[Tensor] = []
        """The loss of the last piece of targets without penalties, and what each penalty added to it."""
        module = learner.module
        if recipe.adapter.kind == "lora":
            there = None if sharded else learner.device
            attach_lora(module, recipe.adapter, seed=derive_seed(seed, "lora"), output=learner.output, device=there)
        half = _AUTOCAST.get(recipe.precision)
        self._sharded = sharded and is_distributed()
        rounds = recipe.adapter.kind == "lora" and not self._sharded
        self._full = keep_in_half(learner, half) if rounds and half is not None else {}
        sizes_repeat = getattr(learner, "sizes_repeat", True)
        has_blocks = recipe.compile and compile_blocks(module, sizes_repeat=sizes_repeat)
        if self._sharded:
            shard(module, learner.device, half=half)
        self._factors = lora_factors(module) if recipe.adapter.kind == "lora" else []
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.device = learner.device
        factor_ids = {id(factor) for lora in self._factors for factor in lora.trained}
        weights = {name: p for name, p in self._trained.items() if id(p) not in factor_ids}
        self._hooks = self._prepare_penalties(weights, sources)
        self._optimiser = adamw(
            self._trained.values(),
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            faster=[lora.b for lora in self._factors],
            ratio=recipe.adapter.loraplus_lr_ratio if recipe.adapter.kind == "lora" else 1.0,
        )
        self._batches = Ahead(learner, parts_of(learner, recipe, seed), total_steps=self.total_steps)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        self._exchange = Exchange(module, self.device, recipe.accumulation, sharded=self._sharded)
        self._forward: Any = self._exchange.forward
        if recipe.compile and not has_blocks:
            self._forward = compiled(self._forward, sizes_repeat=sizes_repeat)

    def take_step(self) -> None:
        """One optimiser step over `batch_size` items of all ranks together, then the proximal steps.

        Raises:
            TrainingError: on every rank, before the optimiser's step, if a loss is not finite on any rank, a gradient
                is not finite without a scaler, or a scaler skipped 20 steps in a row.
        """
        learning_rate = self.recipe.learning_rate * learning_rate_factor(
            self.step, total_steps=self.total_steps, warmup_fraction=self.recipe.warmup_fraction
        )
        set_learning_rate(self._optimiser, learning_rate)
        loss = self._first_gradients() if self.step == 0 and self._factors else self._gradients()
        self._scaler.unscale_(self._optimiser)
        with torch.no_grad():
            for hooks in self._hooks.values():
                hooks.before_clip()
        norm = clip_gradients(list(self._trained.values()), self.recipe.clip_norm)
        # The only place where a step waits for its device.
        self._loss, found_norm = torch.stack([loss, norm.to(loss.dtype)]).tolist()
        finite = math.isfinite(found_norm)
        self._refuse_non_finite(finite)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        if finite:
            move(self._hooks, learning_rate, self._trained.values(), watched=self._now() if self.step == 0 else None)
        self.step += 1

    def _first_gradients(self) -> Tensor:
        """The first step of adapters, which some models cannot run with, or do not use."""
        try:
            loss = self._gradients()
        except (AttributeError, NotImplementedError, TypeError) as error:
            if blame(error) is not None:  # a penalty's hook
                raise
            raise FoundationError(
                f"adapter: the model cannot run with adapters in these layers ({type(error).__name__}: {error}); leave "
                "those out of adapter.targets that it does not simply call, or write adapter: {kind: full}"
            ) from error
        assert isinstance(self.recipe.adapter, LoraAdapter)
        refuse_without_gradient(self._factors, self.device, saved_parts(self.learner.module, self.recipe.adapter))
        return loss

    def _micro_batches(self) -> list[Batch]:
        seed_global_generators(derive_seed(self.seed, "dropout", str(self.step), str(rank())))
        return self._batches.of(self.step)

    def _gradients(self) -> Tensor:
        """Computes the gradients of the mean loss; returns that mean over all ranks' targets, a scalar in fp64.

        It is finite if and only if every rank's losses are, so that all ranks agree on whether to go on.
        """
        batches = self._micro_batches()
        count = sum(len(batch.targets) for batch in batches)
        num_targets = all_reduce_sum(torch.tensor(count, dtype=torch.float64, device=self.device))
        # DDP averages over ranks what should be summed: undo that, then divide by the number of all ranks' targets.
        factor = (world_size() / num_targets).float()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        for position, batch in enumerate(batches):
            loss = self._loss_of(batch, last=position == len(batches) - 1)
            if loss.requires_grad:  # else no adapter has any part in it
                self._scaler.scale(loss * factor).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.detach()
        return all_reduce_sum(loss_sum) / num_targets

    def _loss_of(self, batch: Batch, *, last: bool) -> Tensor:
        """Sum of the loss over the batch's targets, a scalar in fp32."""
        half = _AUTOCAST.get(self.recipe.precision)
        module, output, targets = self.learner.module, self.learner.output, batch.targets
        with torch.autocast(self.device.type, dtype=half or torch.bfloat16, enabled=half is not None):
            with torch.no_grad():
                for hooks in self._hooks.values():
                    hooks.before_forward(batch.inputs)
            self._exchange.before_forward(last=last)
            found: Tensor = self._forward(**batch.inputs)
            if output is None:
                return self._judge(found, targets, slice(None))

            def loss_of(features: Tensor, piece: slice) -> Tensor:
                return self._judge(module.forward(features=features), targets, piece)

            trained = [parameter for parameter in output.parameters() if parameter.requires_grad]
            return loss_in_pieces(found, loss_of, trained, size=piece_size(int(output.out_features)))  # type: ignore[arg-type]

    def _judge(self, logits: Tensor, targets: Tensor, piece: slice) -> Tensor:
        """Sum of the loss over a piece of the targets, a scalar in fp32, from their logits (n, num_classes)."""
        # Pulls first: their temporary memory is free again before the cross-entropy keeps its own.
        first = self.step == 0
        pulls = [pulled(kind, hooks, logits, piece, first) for kind, hooks in self._hooks.items() if hooks.pulls]
        smoothing = self.recipe.label_smoothing
        loss = F.cross_entropy(logits.float(), targets[piece], reduction="sum", label_smoothing=smoothing)
        self._parts = [part.detach() for part in (loss, *pulls)]
        return sum(pulls, loss)

    def _refuse_non_finite(self, finite: bool) -> None:
        if not math.isfinite(self._loss):
            if culprits := not_finite_pulls(self._hooks, self._parts):
                told = f"what {culprits} adds to the loss is not finite at {self._now()}, though the loss without it is"
                raise TrainingError(f"{told}; lower its strength, or mend it")
            raise TrainingError(f"the loss is not finite at {self._now()}; {self._advice()}")
        if finite:
            self._skipped_in_a_row = 0
            return
        if not self._scaler.is_enabled():
            raise TrainingError(f"a gradient is not finite at {self._now()}; {self._advice()}")
        self._skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            raise TrainingError(
                f"fp16's gradient scaler skipped {self._skipped_in_a_row} steps in a row up to step {self.step + 1}; "
                "use precision bf16 or fp32"
            )

    def _now(self) -> str:
        """The step under way; a trial of a few steps may take more of them than its few items make."""
        return f"step {self.step + 1}" + (f" of {self.total_steps}" if self.step < self.total_steps else "")

    def _advice(self) -> str:
        advice = f"lower learning_rate (now {self.recipe.learning_rate:g}) or use precision fp32"
        moved = movers(self._hooks)
        if moved and not all_finite(self._trained.values()):
            return f"the weights are not finite either: mend {moved}, which moves them after each step, or {advice}"
        return advice

    def _prepare_penalties(self, weights: Mapping[str, nn.Parameter], sources: Sources | None) -> dict[str, Hooks]:
        """Hooks by kind; a teacher under bf16 autocast may keep its matrices in bf16, which halves its memory."""
        penalties = [penalty for penalty in self.recipe.penalties if penalty.strength > 0]
        needs = [needs_of(penalty, lora=bool(self._factors)) for penalty in penalties]
        rounded = self.recipe.precision == "bf16" and all(need.rounded for need in needs if need.theta_0)
        # A LoRA's teacher needs the start values of the other trained weights: a head's.
        keeps = any(need.theta_0 or need.teacher for need in needs)
        training = Training(
            learner=self.learner,
            weights=weights,
            start=start_values(weights, self.learner.module, rounded=rounded) if keeps and weights else {},
            factors=self._factors,
            sharded=self._sharded,
            sources=sources,
        )
        return prepare_hooks(penalties, training)

    def theta_1(self, *, in_4_bits: bool = False) -> dict[str, Tensor]:
        """The current weights, adapters merged (see `merged_weights`), under canonical names, on the CPU in fp32."""
        module = self.learner.module
        return self.learner.canonical(merged_weights(module, self._factors, in_4_bits=in_4_bits, full=self._full))

    def facts(self) -> dict[str, Any]:
        """Facts on the training so far, for the record."""
        return {
            "loss": self._loss,
            "skipped_steps": self._skipped,
            "steps": self.step,
            "total_steps": self.total_steps,
            "resumed_from": self._resumed_from,
            **self.learner.facts,
            **{name: value for hooks in self._hooks.values() for name, value in hooks.facts().items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """The state from which `load_state_dict` of a fresh trainer goes on as if nothing had happened.

        If weights are sharded every rank must call it: rank 0 gets whole tensors on the CPU, with which any number of
        ranks can go on, the others get an empty state. Otherwise its tensors are the training's own: save or copy them
        before the next step.
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
            "penalties": {kind: dict(hooks.state_dict()) for kind, hooks in self._hooks.items()},
        }

    def try_keeping(self) -> None:
        """Tries what a training asks of its penalties only at its first checkpoint, or after a crash.

        Raises:
            BrokenExtensionError: a penalty's facts are no JSON, or its state cannot be loaded again.
        """
        for kind, hooks in self._hooks.items():
            try_keeping(kind, hooks)

    def idle_penalties(self) -> list[str]:
        """A sentence on each penalty that has no effect."""
        return idle_hooks(self._hooks)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state of the same recipe and seed."""
        self.step = self._resumed_from = state["step"]
        for name, parameter in self._trained.items():
            load_whole(parameter, state["trained"][name])
        weights = [parameter for group in self._optimiser.param_groups for parameter in group["params"]]
        self._optimiser.load_state_dict(sharded_optimiser(state["optimiser"], weights))
        self._scaler.load_state_dict(state["scaler"])
        self._skipped, self._skipped_in_a_row = state["skipped"]
        self._loss = state["loss"]
        for kind, kept in state.get("penalties", {}).items():
            self._hooks[kind].load_state_dict(kept)
