"""The drawn world -> the tiny CLIP that ships, in open_clip's architecture and local-folder format.

    OMP_NUM_THREADS=1 python -m rayforget.builtin.pictures.pretrain --out FOLDER --seed 0    # 12 minutes

Every step asks three questions about the pictures of a batch (captions.py) and lowers the cross-entropy of the true
captions among all answers: CLIP's loss from picture to text, with every wrong caption as a negative instead of those
that the batch happens to hold. Of one style, RARE_STYLE, the model sees little: it is the one left to be learnt.
"""

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from rayforget.builtin.pictures.captions import WORDINGS, Facts, questions
from rayforget.builtin.pictures.world import COLORS, COUNTS, SHAPES, SIZE, STYLES, draw, stream
from rayforget.builtin.pictures.zero_shot import table, zero_shot

RARE_STYLE = "sketch"
RARE_SHARE = 0.01
"""Share of the pretraining pictures in RARE_STYLE; the other styles share the rest evenly."""
SINGLE_SHARE = 0.6
"""Share of the pretraining pictures with one object."""
NUM_PICTURES = 100_000
NUM_STEPS, NUM_WARMUP_STEPS, BATCH_SIZE, PEAK_LEARNING_RATE = 3_000, 200, 256, 1.5e-3
CONTEXT_LENGTH = 16
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CONFIG: dict[str, dict[str, Any]] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"layers": 3, "width": 96, "head_width": 32, "patch_size": 8, "image_size": SIZE},
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": 49408,
            "width": 64,
            "heads": 2,
            "layers": 2,
        },
    },
    "preprocess_cfg": {"mean": MEAN, "std": STD, "size": SIZE, "interpolation": "bicubic", "resize_mode": "squash"},
}
"""The contents of open_clip_config.json."""


def picture(index: int, seed: int) -> tuple[NDArray[np.uint8], list[int]]:
    """One pretraining picture, (3, SIZE, SIZE), and its facts; from streams that no world source draws from."""
    rng = stream("pretraining", seed, index)
    common = (1 - RARE_SHARE) / (len(STYLES) - 1)
    style = int(rng.choice(len(STYLES), p=[RARE_SHARE if name == RARE_STYLE else common for name in STYLES]))
    shape, color = int(rng.integers(len(SHAPES))), int(rng.integers(len(COLORS)))
    count = 1 if rng.random() < SINGLE_SHARE else int(rng.integers(2, len(COUNTS) + 1))
    image = draw(SHAPES[shape], COLORS[color], count, STYLES[style], rng)
    return np.asarray(image).transpose(2, 0, 1), [style, shape, color, count - 1]


def picture_set(num: int, seed: int) -> tuple[Tensor, Facts]:
    """Pictures, uint8 of shape (num, 3, SIZE, SIZE), and their facts, drawn by all cores."""
    with ProcessPoolExecutor() as workers:
        drawn = list(workers.map(partial(picture, seed=seed), range(num), chunksize=1000))
    return torch.from_numpy(np.stack([pixels for pixels, _ in drawn])), np.array([facts for _, facts in drawn])


def normalized(pixels: Tensor) -> Tensor:
    """uint8 (n, 3, h, w) -> the image tower's input."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


@cache
def tokens(captions: tuple[str, ...]) -> Tensor:
    """Token ids, shape (num_captions, CONTEXT_LENGTH), by the BPE that open_clip uses for a model that names none."""
    ids: Tensor = _tokenizer()(list(captions))
    return ids


@cache
def _tokenizer() -> Any:
    return open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)


def loss_of(model: Any, pixels: Tensor, facts: Facts, rng: np.random.Generator) -> Tensor:
    """Mean over three questions of -log softmax over captions c of exp(scale) * <image, c>, at the true caption."""
    asked = questions(facts, rng)
    images = model.encode_image(normalized(pixels), normalize=True)
    texts = model.encode_text(torch.cat([tokens(question.captions) for question in asked]), normalize=True)
    losses = []
    for question, answers in zip(asked, texts.split([len(q.captions) for q in asked]), strict=True):
        chosen = torch.from_numpy(question.asked)
        logits = model.logit_scale.exp() * images[chosen] @ answers.T
        losses.append(F.cross_entropy(logits, torch.from_numpy(question.answers)[chosen]))
    return torch.stack(losses).mean()


def learning_rate(step: int) -> float:
    """Linear rise, then a cosine to zero."""
    return PEAK_LEARNING_RATE * min(1, (step + 1) / NUM_WARMUP_STEPS) * (1 + math.cos(math.pi * step / NUM_STEPS)) / 2


def optimizer_of(model: Any) -> torch.optim.AdamW:
    """AdamW with weight decay on the layers' matrices alone: embeddings of tokens in no caption must not fade."""
    named = list(model.named_parameters())
    decayed = {name for name, p in named if p.ndim >= 2 and "embedding" not in name}
    groups = [
        {"params": [p for name, p in named if name in decayed], "weight_decay": 0.1},
        {"params": [p for name, p in named if name not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def train(seed: int) -> dict[str, Tensor]:
    """The whole pretraining, from nothing to a state dict in fp16."""
    torch.manual_seed(seed)
    pixels, facts = picture_set(NUM_PICTURES, seed)
    model = open_clip.CLIP(**CONFIG["model_cfg"])
    optimizer = optimizer_of(model)
    rng = np.random.default_rng(seed)
    start, losses = time.monotonic(), list[float]()
    for step in range(NUM_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        chosen = rng.integers(NUM_PICTURES, size=BATCH_SIZE)
        loss = loss_of(model, pixels[torch.from_numpy(chosen)], facts[chosen], rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            seconds = time.monotonic() - start
            print(f"step {step + 1}/{NUM_STEPS}  loss {np.mean(losses[-100:]):.3f}  {seconds:.0f} s", flush=True)
    return {name: tensor.half() for name, tensor in _without_unseen(model.state_dict()).items()}


def _without_unseen(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sets the embeddings of tokens in no caption to zero: they are noise, and zeros compress well."""
    seen = torch.zeros(len(state["token_embedding.weight"]), 1, dtype=torch.bool)
    seen[torch.cat([tokens(captions).flatten() for wordings in WORDINGS.values() for captions in wordings])] = True
    return state | {"token_embedding.weight": state["token_embedding.weight"] * seen}


def main() -> None:
    """Trains, saves and prints the zero-shot table of what was saved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights, made where it is missing")
    parser.add_argument("--seed", type=int, required=True, help="of the pictures, the captions and the weights")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    state = train(options.seed)
    (options.out / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    save_file(state, options.out / "open_clip_model.safetensors")
    print(table(zero_shot(options.out, "val", 1000)))


if __name__ == "__main__":
    main()
