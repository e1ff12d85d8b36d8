"""A training step with a penalty towards theta_0: proximal, coupled by autograd, and without any.

Each round takes one step of every kind, in a random order, with the same Trainer on the same weights; what slows the
machine for a while slows all of them, and cancels in the ratio of a round's steps.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Generator, Tensor, nn
from verdict import print_machine, print_target

from rayforget.foundations.clip.attention import swap_attention
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.heads import ImageHead
from rayforget.foundations.clip.prepared import prepare_clip
from rayforget.foundations.protocol import Batch, Learner
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.data import FolderSource, Source, WorldSource, ZeroShotTask
from rayforget.tasks.resolve import resolve_tasks
from rayforget.train.penalties.hooks import Penalty
from rayforget.train.penalties.l1 import L1Penalty
from rayforget.train.penalties.l2 import L2Hooks, L2Penalty
from rayforget.train.trainer import Trainer

PENALTIES: Mapping[str, Penalty] = {
    "L1": L1Penalty(kind="l1", strength=0.01),
    "L2": L2Penalty(kind="l2", strength=10.0),
}
KINDS = ("none", "L1 proximal", "L2 proximal", "L1 autograd", "L2 autograd")
BYTES_PER_WEIGHT = {
    "L1 proximal": "12 B/weight: reads theta and theta_0, writes theta; its bounds stay in the cache",
    "L2 proximal": "12 B/weight: reads theta and theta_0, writes theta",
    "L1 autograd": "about 52 B/weight: forward difference (12), abs (8), sum (4); backward sign (8), times gradient "
    "(8), added to .grad (12)",
    "L2 autograd": "about 52 B/weight: forward difference (12), square (8), sum (4); backward twice the difference "
    "(8), times gradient (8), added to .grad (12)",
}


class SwitchedTrainer(Trainer):
    """A Trainer whose penalty can be changed between steps."""

    in_loss: str | None = None

    def __init__(self, learner: Learner, recipe: Recipe) -> None:
        super().__init__(learner, recipe, seed=0)
        self._prepared = self._hooks
        kept = self._prepared["l2"]
        assert isinstance(kept, L2Hooks)
        self._pairs = list(zip(kept.weights.values(), kept.start, strict=True))

    def switch(self, kind: str) -> None:
        """Makes the next step one of this kind."""
        norm, _, form = kind.partition(" ")
        self._hooks = {norm.lower(): self._prepared[norm.lower()]} if form == "proximal" else {}
        self.in_loss = norm if form == "autograd" else None

    def _loss_of(self, batch: Batch, *, last: bool) -> Tensor:
        """Adds the penalty as papers' code has it: a sum over all weights, differentiated with the loss."""
        loss = super()._loss_of(batch, last=last)
        if self.in_loss is None:
            return loss
        # The loss is a sum over the batch's targets and is divided by their number later.
        scale = PENALTIES[self.in_loss].strength * len(batch.targets)
        for weight, start in self._pairs:
            gap = weight - start
            loss = loss + scale * (gap.abs().sum() if self.in_loss == "L1" else 0.5 * gap.square().sum())
        return loss

    def time_penalty(self, norm: str) -> float:
        """Seconds of the proximal step alone, right after a training step."""
        began = time.perf_counter()
        with torch.no_grad():
            self._prepared[norm.lower()].after_step(self.recipe.learning_rate)
        return time.perf_counter() - began

    @property
    def num_weights(self) -> int:
        """Number of weights that are trained, and penalised."""
        return sum(weight.numel() for weight, _ in self._pairs)


class RandomImages:
    """Random images for an open_clip image tower with random weights (implements `Learner`)."""

    num_items = 1024
    output: None = None
    device = torch.device("cpu")

    def __init__(self, name: str, batch_size: int) -> None:
        import open_clip

        torch.manual_seed(0)
        clip = open_clip.create_model(name)
        swap_attention(clip)
        classes = nn.functional.normalize(torch.randn(100, clip.visual.output_dim), dim=1)
        self.module: nn.Module = ImageHead(clip.visual, clip.logit_scale, classes, trains_classifier=False).train()
        height, width = clip.visual.image_size
        self.facts: Mapping[str, int] = {}
        self.data_hash = ""
        self._images = torch.randn(batch_size, 3, height, width)

    def batch(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """Always the same images."""
        return Batch(inputs={"images": self._images[: len(indices)]}, targets=indices % 100)

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The module's own names."""
        return dict(weights)


def recipe_of(batch_size: int) -> Recipe:
    """Far more steps than will be taken, so that the learning rate stays near its peak.

    Has both penalties; `switch` decides which one a step takes.
    """
    return Recipe(
        method="switched",
        head="frozen",
        penalties=tuple(PENALTIES.values()),
        learning_rate=1e-5,
        epochs=10_000,
        batch_size=batch_size,
        seed=0,
    )


def real_learner(batch_size: int, cache: Path) -> tuple[str, Learner]:
    """clip_real on PACS photographs; the built-in model on its own pictures if that data is missing."""
    shared = Path(os.environ.get("RAYFORGET_SHARED", "../shared")).resolve() / "data"
    sources: dict[str, Source]
    if (shared / "clip_real").is_dir():
        name = "clip_real on PACS photographs"
        model = f"local-dir:{shared / 'clip_real'}"
        sources = {
            split: FolderSource(kind="folder", path=shared / "pacs64" / split / "photo")
            for split in ("train", "val", "test")
        }
    else:
        print(f"no {shared / 'clip_real'} (RAYFORGET_SHARED): the built-in model instead")
        name, model = "the built-in model on its own pictures", "builtin"
        sources = {
            split: WorldSource(kind="world", style="all", split=split, count=4 * batch_size)
            for split in ("train", "val", "test")
        }
    task = ZeroShotTask(kind="zero_shot", role="speciality", templates=("a photo of a {}",), **sources)
    foundation = prepare_clip(
        ClipFoundation(kind="clip", model=model),
        resolve_tasks({"speciality": task}),
        cache=cache,
        device=torch.device("cpu"),
        evaluation_batch=256,
    )
    return name, foundation.learner(recipe_of(batch_size))


def measure(name: str, learner: Learner, batch_size: int, rounds: int, *, targets: bool) -> None:
    """Takes the steps and prints their costs."""
    trainer = SwitchedTrainer(learner, recipe_of(batch_size))
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    alone: dict[str, list[float]] = {norm: [] for norm in PENALTIES}
    order, shuffle = list(KINDS), random.Random(0)
    for round_ in range(rounds + 1):
        shuffle.shuffle(order)
        for kind in order:
            trainer.switch(kind)
            began = time.perf_counter()
            trainer.take_step()
            if round_:  # the first round warms up
                seconds[kind].append(time.perf_counter() - began)
        if round_:
            for norm, times in alone.items():
                times.append(trainer.time_penalty(norm))
    weights = trainer.num_weights
    print(f"\n{name}, batch {batch_size}: {weights / 1e6:.2f} M trained weights, {rounds} steps of each kind")
    plain = statistics.median(seconds["none"])
    for kind in KINDS:
        ratio, low, high = paired(seconds[kind], seconds["none"])
        print(
            f"  {kind:12} {1e3 * statistics.median(seconds[kind]):9.2f} ms a step; against none, paired: "
            f"{ratio:.3f} (middle half of the rounds: {low:.3f} to {high:.3f})"
        )
    for norm, times in alone.items():
        middle = statistics.median(times)
        moved = 12 * weights
        print(
            f"  {norm} proximal alone: {1e3 * middle:.2f} ms, {100 * middle / plain:.2f} % of a step; "
            f"moves {moved / 2**20:.1f} MiB, {moved / middle / 1e9:.1f} GB/s"
        )
    if targets:
        for norm in PENALTIES:
            slower = 100 * (paired(seconds[f"{norm} proximal"], seconds["none"])[0] - 1)
            print_target(f"{norm} proximal slower than none, %", slower, at_most=5)
            faster = paired(seconds[f"{norm} autograd"], seconds[f"{norm} proximal"])[0]
            print_target(f"{norm} autograd's step over {norm} proximal's", faster, at_least=1)


def paired(times: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Median and quartiles of the rounds' ratios."""
    ratios = [time / other for time, other in zip(times, others, strict=True)]
    if len(ratios) < 2:
        return ratios[0], ratios[0], ratios[0]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, low, high


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--trials", type=int, default=60, help="steps of each kind with the real model")
    parser.add_argument("--batch", type=int, default=64, help="batch size with the real model")
    parser.add_argument("--large", default="ViT-B-32", help="open_clip model of random weights; `none` leaves it out")
    parser.add_argument("--large-trials", type=int, default=7, help="steps of each kind with the large model")
    parser.add_argument("--large-batches", type=int, nargs="*", default=[8, 32])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print_machine(given.threads)
    print("bytes moved by each form beyond the plain step:")
    for kind, words in BYTES_PER_WEIGHT.items():
        print(f"  {kind}: {words}")
    with tempfile.TemporaryDirectory() as cache:
        name, learner = real_learner(given.batch, Path(cache))
        measure(name, learner, given.batch, given.trials, targets=True)
    if given.large != "none":
        for batch_size in given.large_batches:
            large = RandomImages(given.large, batch_size)
            title = f"{given.large}'s image tower (random weights)"
            measure(title, large, batch_size, given.large_trials, targets=False)


if __name__ == "__main__":
    main()
