"""A space's language model and its tasks -> a `Foundation`, which a worker sets up once for all trials."""

import copy
from collections.abc import Callable, Collection, Mapping
from functools import cache as remember
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rayforget.distributed import world_size
from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.answers import AnswerLearner
from rayforget.foundations.causal_lm.boundaries import Kernel
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.kernels import choose_kernel
from rayforget.foundations.causal_lm.layers import causal_layers
from rayforget.foundations.causal_lm.learner import CausalLearner
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.parts import refuse_unembedded, text_parts
from rayforget.foundations.causal_lm.scoring.scorer import LanguageScorer
from rayforget.foundations.causal_lm.shown import first_sequence
from rayforget.foundations.protocol import State, TaskSplit
from rayforget.foundations.sharing import Share, keep_own
from rayforget.space.given import AnyRecipe
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.text import Sequences
from rayforget.tasks.keys import at_key
from rayforget.tasks.resolved import SplitName
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.tasks.text.training import training_set
from rayforget.tasks.text.types import TaskRequests, TrainingSet
from rayforget.values.layers import Layer
from rayforget.values.scores import Split

_MEASURED_LENGTH = 1024
"""Longest sequence, in tokens, with which kernels are measured."""


def prepare_causal_lm(
    spec: CausalLmFoundation,
    tasks: Mapping[str, ResolvedText],
    *,
    cache: Path,
    device: torch.device,
    batch_tokens: int,
    share: Share = keep_own,
    sharded: bool = False,
) -> "PreparedCausalLm":
    """Loads the model; texts are tokenised, or found in the cache, on first use.

    Args:
        spec: the space's foundation.
        tasks: all tasks, by name; without any `train` nothing can be trained.
        cache: folder on this node for token ids.
        device: where everything runs.
        batch_tokens: tokens per forward pass of an evaluation.
        share: decides in which memory theta_0 lies.
        sharded: whether learners' modules will be sharded over the ranks.

    Raises:
        FoundationError: the model cannot be loaded.
    """
    model = load_causal_lm(spec, device, share)
    return with_tasks(model, spec.sequences, tasks, cache=cache, batch_tokens=batch_tokens, sharded=sharded)


def with_tasks(
    model: CausalLm,
    sequences: Sequences,
    tasks: Mapping[str, ResolvedText],
    *,
    cache: Path,
    batch_tokens: int,
    sharded: bool = False,
) -> "PreparedCausalLm":
    """A loaded model set up with these tasks; otherwise like `prepare_causal_lm`."""

    def train(name: str | None) -> TrainingSet:
        learnt = tasks if name is None else {name: tasks[name]}
        made = training_set(
            learnt,
            model.tokenizer,
            sequences,
            max_length=model.train_length,
            eos=model.eos_token,
            prefix_token=model.prefix_token,
            cache=cache,
        )
        refuse_unembedded(model, [made.tokens], f"tasks.{name or ', '.join(tasks)}: the texts to learn")
        return made

    def requests(task: ResolvedText, split: Split) -> TaskRequests:
        made = task_requests(
            task, split, model.tokenizer, max_length=model.max_length, prefix_token=model.prefix_token, cache=cache
        )
        refuse_unembedded(model, [made.pairs.tokens, *made.generations.prompts], f"{task.splits[split].key}: the texts")
        return made

    scored = {name: partial(requests, task) for name, task in tasks.items() if "val" in task.splits}
    return PreparedCausalLm(
        model,
        train,
        scored,
        splits={name: tuple(task.splits) for name, task in tasks.items()},
        packing=sequences.packing,
        batch_tokens=batch_tokens,
        sharded=sharded,
    )


class PreparedCausalLm:
    """A language model with its tasks (implements `Foundation`)."""

    def __init__(
        self,
        model: CausalLm,
        train: Callable[[str | None], TrainingSet],
        requests: Mapping[str, Callable[[Split], TaskRequests]],
        *,
        splits: Mapping[str, Collection[SplitName]],
        packing: bool,
        batch_tokens: int,
        sharded: bool = False,
    ) -> None:
        """Tokenises nothing yet: training sequences and requests are made on first use.

        Args:
            model: theta_0.
            train: makes, or finds, the training sequences of one task, or of all tasks with None.
            requests: task -> function that makes, or finds, the requests on a split.
            splits: task -> its splits.
            packing: whether to put several training sequences into a row if they fit.
            batch_tokens: tokens per forward pass of an evaluation.
            sharded: learners' modules stay on the CPU until they are sharded, so that a device holds theta_0 and its
                shards, never theta_0 and a whole copy of it.
        """
        self.model = model
        self._sharded = sharded
        self.theta_0: State = model.theta_0
        self.theta_0_hash: str = model.theta_0_hash
        self._train, self._packing = remember(train), packing
        self._kernel: Kernel | None = None
        self._sizes_repeat = False
        self._requests, self._splits = requests, splits
        self._scorer = LanguageScorer(model, requests, batch_tokens=batch_tokens)

    def training_set(self) -> TrainingSet:
        """All training sequences."""
        return self._train(None)

    def first_items(self) -> dict[str, str]:
        """Task with `train` -> its first training sequence, for people."""
        learnt = [name for name, splits in self._splits.items() if "train" in splits]
        return {name: first_sequence(self._train(name), self.model.tokenizer) for name in learnt}

    @property
    def item_bytes(self) -> int:
        """Mean size of a training sequence's token ids."""
        learnt = self.training_set()
        return round(learnt.tokens.nbytes / len(learnt.first_targets))

    def learner(self, recipe: Recipe, data: TaskSplit | None = None) -> CausalLearner | AnswerLearner:
        """A fresh module at theta_0 with the training sequences, or with a task's split.

        A task's `train` gives its training sequences, its other splits the right answers as scoring asks for them.

        Raises:
            FoundationError: the model has no gradient checkpointing but the recipe asks for it, or there is no such
                split.
            TaskError: the texts cannot be read, or have no right answers.
        """
        whole = data is not None or not (self._sharded or recipe.in_4_bits)
        lm = copy.deepcopy(self.model.head.lm) if whole else copy_on_cpu(self.model.head.lm)
        lm.requires_grad_(False)
        for part in text_parts(lm):
            part.requires_grad_(True)
        if recipe.gradient_checkpointing:
            try:
                lm.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
            except ValueError as error:
                raise FoundationError(f"gradient_checkpointing has no effect on this model: {error}") from None
        module = CausalHead(lm, self.model.head.own).train()
        if data is None:
            packing = self._packing and self.model.keeps_apart
            half = recipe.precision != "fp32"  # fp32 recipes keep to dense masks
            return CausalLearner(
                self.model,
                module,
                self.training_set(),
                packing=packing,
                kernel=self._kernel if half else None,
                sizes_repeat=self._sizes_repeat and half,
                sequences=max(1, recipe.batch_size // recipe.accumulation // world_size()),
            )
        name, split = data
        if split not in self._splits.get(name, ()):
            raise FoundationError(f"there is no task {name!r} with {split}; there are: {self._listed()}")
        if split == "train":
            return CausalLearner(self.model, module, self._train(name), packing=False)
        with at_key(f"tasks.{name}"):
            return AnswerLearner(self.model, module, self._requests[name](split))

    def choose_kernels(self, *, repeatable: bool) -> dict[str, Any]:
        """Measures on the model's device how packed sequences attend fastest in half precision; JSON values."""
        if not self._packing or not self.model.keeps_apart:
            return {"kernel": None, "sizes_repeat": True, "reason": "sequences are not packed"}
        longest = min(self.model.train_length, _MEASURED_LENGTH)
        kernel, measured = choose_kernel(self.model.head, longest=longest, dtype=torch.bfloat16, repeatable=repeatable)
        return {"kernel": kernel, "sizes_repeat": True, "measured": measured}

    def use_kernels(self, chosen: Mapping[str, Any]) -> None:
        """Obeys what `choose_kernels` returned, here or on another worker; fp32 recipes keep to dense masks."""
        self._kernel, self._sizes_repeat = chosen["kernel"], chosen["sizes_repeat"]

    def _listed(self) -> str:
        return ", ".join(f"{name} ({', '.join(splits)})" for name, splits in self._splits.items())

    def initial(self, recipe: AnyRecipe) -> State:
        """theta_0: a language model's head is part of it."""
        return dict(self.theta_0)

    def layers(self, recipe: AnyRecipe) -> dict[str, Layer]:
        """The layers of the one tower; see `causal_layers`."""
        return causal_layers(self.theta_0)

    def scorer(self, recipe: AnyRecipe | None) -> LanguageScorer:
        """One scorer serves every recipe."""
        return self._scorer


def copy_on_cpu(module: nn.Module) -> nn.Module:
    """A copy that shares no memory with the module; tied tensors stay tied, and the device needs no room for it."""
    copies: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach().to("cpu", copy=True), requires_grad=weight.requires_grad)
        for weight in module.parameters()
    }
    copies |= {id(buffer): buffer.detach().to("cpu", copy=True) for buffer in module.buffers()}
    return copy.deepcopy(module, copies)
