"""theta_0 and a task's items -> the diagonal of the empirical Fisher information (Martens 2020, section 11).

    F_i = mean over samples n of (d loss_n / d theta_i)^2   at theta_0

loss_n is one sample's own loss (an image's cross-entropy, or the sum over a text's answer tokens), without
augmentation, label smoothing or packing. F is the mean of squares, not the square of the batch's mean gradient, which
would be close to 0 at a minimum. A tensor used in several places has one gradient, the sum over its uses, which is then
squared.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.errors import TrainingError
from rayforget.foundations.protocol import Learner
from rayforget.heartbeat import beat
from rayforget.train.penalties.hooks import Training

_VERSION = "1"
"""The version of this file's computation: results kept by another version are not used."""


def fisher_information(training: Training, task: str, split: str, *, samples: int | None) -> dict[str, Tensor]:
    """F of every trained weight on which the task's loss depends, by the module's names, on the training's device.

    Every rank calls it and gets the whole. It is computed once for a model, its data and objective, and kept.

    Args:
        training: at theta_0; gives the sources.
        task: the task.
        split: the task's split.
        samples: the number of items, spread evenly; None takes all.

    Raises:
        TrainingError: on every rank, if there are no sources, or F is not finite, or 0 everywhere.
    """
    if training.sources is None:
        raise TrainingError(
            f"the Fisher information on {task}/{split} needs data, and this training has its batches alone"
        )
    learner = training.sources.learner(task, split)
    count = learner.num_items if samples is None else min(samples, learner.num_items)
    what = {"fisher": _VERSION, "data": learner.data_hash, "samples": str(count)}
    found = training.sources.kept(what, lambda: diagonal_fisher(learner, count))
    fisher = {name: found[name].to(training.learner.device) for name in training.weights if name in found}
    if not all(bool(of_weight.isfinite().all()) for of_weight in fisher.values()):
        raise TrainingError(f"the Fisher information on {task}/{split} is not finite: its loss may not be finite there")
    if not any(bool(of_weight.any()) for of_weight in fisher.values()):
        raise TrainingError(f"the Fisher information on {task}/{split} is 0 for every trained weight; take other data")
    return fisher


def diagonal_fisher(learner: Learner, count: int) -> dict[str, Tensor]:
    """F over `count` of the learner's items, in fp32 on the CPU; the ranks share the items.

    Args:
        learner: at theta_0, whole on this rank.
        count: the number of items, spread evenly over all.
    """
    trained = {name: p for name, p in learner.module.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in trained.items()}
    chosen = torch.linspace(0, learner.num_items - 1, count, dtype=torch.float64).round().long()
    mine = chosen[rank() :: world_size()]
    for position, index in enumerate(mine):
        beat("fisher information", position, len(mine))
        gradients = torch.autograd.grad(_loss_of(learner, index), list(trained.values()), allow_unused=True)
        for total, gradient in zip(sums.values(), gradients, strict=True):
            if gradient is not None:
                total.addcmul_(gradient.double(), gradient.double())
    return {name: (all_reduce_sum(total) / count).float().cpu() for name, total in sums.items()}


def normalised(fisher: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """F over its mean, and that mean: over all trained weights, including those without F.

    Args:
        fisher: F by name; whole tensors.
        weights: all trained weights, which may be in shards; their sizes are those of the whole tensors.
    """
    total = sum(float(of_weight.double().sum()) for of_weight in fisher.values())
    mean = total / sum(weight.numel() for weight in weights.values())
    return {name: (of_weight.double() / mean).float() for name, of_weight in fisher.items()}, mean


def _loss_of(learner: Learner, index: Tensor) -> Tensor:
    """One item's loss, the sum over its targets."""
    batch = learner.batch(index[None], torch.Generator().manual_seed(0))
    found: Tensor = learner.module(**batch.inputs)
    logits = found if learner.output is None else learner.module(features=found)
    return F.cross_entropy(logits.float(), batch.targets, reduction="sum")
