"""A folder with the tiny OPT -> what plain fine-tuning on the medicine gains and costs, along the line to theta_1.

    OMP_NUM_THREADS=1 python -m rayforget.builtin.language.measure    # 90 seconds

prints the scores on `test` at five alpha between theta_0 and theta_1: mean and standard deviation over three seeds of
the training.
"""

import argparse
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from random import Random
from statistics import mean, stdev
from time import monotonic
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from rayforget.builtin.language.corpus import encode, padded
from rayforget.builtin.language.relations import Item
from rayforget.builtin.language.scoring import NUM_ITEMS, Scores, load, scores, table
from rayforget.builtin.language.tokenizer import PAD
from rayforget.builtin.language.world import language_items

ALPHAS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Plain fine-tuning: all weights, AdamW without decay, loss on the answers, a rate that falls linearly to zero."""

    num_items: int = 480
    """Number of items of `medicine`; 480 hold every wording of the split once."""
    epochs: int = 8
    batch_size: int = 16
    learning_rate: float = 1.5e-3


def folder_of_weights() -> Path:
    """The folder of the shipped model."""
    return Path(str(files("rayforget.builtin.language") / "weights"))


def answers_loss(model: Any, tokenizer: Any, items: Sequence[Item]) -> Tensor:
    """Mean of -log p over the tokens of the answers, including the end."""
    batch = padded(encode(tokenizer, items))
    ids, asked = torch.from_numpy(batch.ids), torch.from_numpy(batch.weights[:, 1:] == 1)
    logits = model(input_ids=ids, attention_mask=(ids != PAD).long(), use_cache=False).logits[:, :-1]
    return F.cross_entropy(logits[asked], ids[:, 1:][asked])


def fine_tuned(model: Any, tokenizer: Any, recipe: Plain, seed: int) -> Any:
    """A copy of the model, trained.

    Args:
        model: theta_0; stays as it is.
        tokenizer: the model's.
        recipe: how long, how fast, on how many items.
        seed: seed of the items and their order.
    """
    items = language_items("medicine", split="train", count=recipe.num_items, seed=seed)
    theta_1, rng = deepcopy(model), Random(seed)
    theta_1.train()
    optimizer = torch.optim.AdamW(theta_1.parameters(), lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    order = [place for _ in range(recipe.epochs) for place in rng.sample(range(len(items)), len(items))]
    num_steps = -(-len(order) // recipe.batch_size)
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * (1 - step / num_steps)
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        loss = answers_loss(theta_1, tokenizer, [items[place] for place in chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return theta_1.eval()


def line(
    theta_0: Any, theta_1: Any, tokenizer: Any, *, alphas: Sequence[float] = ALPHAS, num_items: int = NUM_ITEMS
) -> dict[float, Scores]:
    """Scores on `test` of lerp(theta_0, theta_1, alpha)."""
    start, end, model = theta_0.state_dict(), theta_1.state_dict(), deepcopy(theta_0)
    curve = {}
    for alpha in alphas:
        model.load_state_dict({name: torch.lerp(start[name], end[name], alpha) for name in start})
        curve[alpha] = scores(model, tokenizer, "test", num_items=num_items)
    return curve


def spread(curves: Sequence[dict[float, Scores]]) -> str:
    """Two tables: mean, and standard deviation over the curves."""
    parts = []
    for title, function in (("mean", mean), ("standard deviation", stdev)):
        columns = {
            f"alpha {alpha:g}": {name: function([curve[alpha][name] for curve in curves]) for name in curves[0][alpha]}
            for alpha in curves[0]
        }
        parts.append(f"{title} over {len(curves)} seeds, in percent\n{table(columns)}")
    return "\n\n".join(parts)


def main() -> None:
    """Fine-tunes with three seeds and prints the curves."""
    plain = Plain()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, default=folder_of_weights(), help="another model than the one that ships"
    )
    parser.add_argument("--num-items", type=int, default=plain.num_items, help="medicine items to train on")
    parser.add_argument("--epochs", type=int, default=plain.epochs)
    parser.add_argument("--batch-size", type=int, default=plain.batch_size)
    parser.add_argument("--learning-rate", type=float, default=plain.learning_rate)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    recipe = Plain(
        num_items=options.num_items,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
    )
    model, tokenizer = load(options.folder)
    curves, seconds = [], []
    for seed in range(options.seeds):
        started = monotonic()
        theta_1 = fine_tuned(model, tokenizer, recipe, seed)
        seconds.append(monotonic() - started)
        curves.append(line(model, theta_1, tokenizer))
    print(f"{recipe}: {np.mean(seconds):.1f} s per training")
    print(spread(curves) if options.seeds > 1 else table({f"alpha {a:g}": values for a, values in curves[0].items()}))


if __name__ == "__main__":
    main()
