"""The language world without its medicine -> the tiny OPT that ships, in the hub's folder format.

    OMP_NUM_THREADS=1 python -m rayforget.builtin.language.pretrain --out FOLDER --seed 0

(19 minutes on a core shared with other work.)

Every batch mixes all general parts; the loss is the cross-entropy of the next token, in which the answers count most.
The medicine's words are known from tales, in which every fact is drawn anew, so that nothing can be learnt of the true
ones.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import OPTConfig, OPTForCausalLM

from rayforget.builtin.language.corpus import Batch, batches, pretraining_items
from rayforget.builtin.language.prompts import prompt_and_answer
from rayforget.builtin.language.scoring import load, scores, table
from rayforget.builtin.language.tokenizer import END, PAD, build_tokenizer

NUM_STEPS, NUM_WARMUP_STEPS, TOKENS_PER_BATCH, PEAK_LEARNING_RATE = 6_000, 150, 1024, 3e-3
WIDTH, NUM_LAYERS, NUM_HEADS, MAX_LENGTH = 128, 3, 4, 256


def config_of(vocabulary: int) -> Any:
    """The architecture: OPT with tied embeddings and no dropout, so that a training is decided by its order."""
    return OPTConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=NUM_HEADS,
        ffn_dim=4 * WIDTH,
        max_position_embeddings=MAX_LENGTH,
        dropout=0.0,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=PAD,
    )


def loss_of(model: Any, batch: Batch) -> Tensor:
    """Weighted mean of -log p(token | the tokens before it)."""
    ids, weights = torch.from_numpy(batch.ids), torch.from_numpy(batch.weights)
    logits = model(input_ids=ids, attention_mask=(ids != PAD).long(), use_cache=False).logits[:, :-1]
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    targets = weights[:, 1:].flatten()
    return (losses * targets).sum() / targets.sum()


def learning_rate(step: int, num_steps: int) -> float:
    """Linear rise, then a cosine to zero."""
    return PEAK_LEARNING_RATE * min(1, (step + 1) / NUM_WARMUP_STEPS) * (1 + math.cos(math.pi * step / num_steps)) / 2


def optimizer_of(model: Any) -> torch.optim.AdamW:
    """AdamW with weight decay on the layers' matrices alone."""
    named = list(model.named_parameters())
    decayed = {name for name, p in named if p.ndim >= 2 and "embed" not in name}
    groups = [
        {"params": [p for name, p in named if name in decayed], "weight_decay": 0.1},
        {"params": [p for name, p in named if name not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def train(seed: int, num_steps: int) -> tuple[Any, Any]:
    """The whole pretraining, from nothing to a model in fp32 and its tokenizer."""
    torch.manual_seed(seed)
    items = pretraining_items(seed)
    texts = ("".join(prompt_and_answer(item)) for its in items.values() for item in its)
    tokenizer = build_tokenizer(texts, max_length=MAX_LENGTH)
    model = OPTForCausalLM(config_of(len(tokenizer)))
    optimizer = optimizer_of(model)
    start, losses = time.monotonic(), list[float]()
    for step, batch in zip(range(num_steps), batches(items, tokenizer, TOKENS_PER_BATCH, seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, num_steps)
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            seconds = time.monotonic() - start
            print(f"step {step + 1}/{num_steps}  loss {np.mean(losses[-100:]):.3f}  {seconds:.0f} s", flush=True)
    return model, tokenizer


def main() -> None:
    """Trains, saves and prints the scores of what was saved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, made where it is missing")
    parser.add_argument("--seed", type=int, required=True, help="of the items, their order and the weights")
    parser.add_argument("--steps", type=int, default=NUM_STEPS, help="fewer for a quick look")
    options = parser.parse_args()
    model, tokenizer = train(options.seed, options.steps)
    model.half().save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    print(table({"val": scores(*load(options.out), "val")}))


if __name__ == "__main__":
    main()
