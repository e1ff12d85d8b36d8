"""Sizes -> models of random weights, made on the device, and images and texts of noise, as files that a space names."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from gpu_run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the models and their batches are."""

    vision: dict[str, Any]
    """open_clip's `vision_cfg`."""
    text: dict[str, Any]
    """open_clip's `text_cfg`."""
    embed: int
    """CLIP's features."""
    classes: int
    image_batch: int
    layers: int
    width: int
    vocab: int
    positions: int
    """The longest text in tokens."""
    text_batch: int
    pairs: int
    """Texts that one model is scored on."""


VIT_B_16 = Sizes(
    vision={"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
    text={"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
    embed=512, classes=1000, image_batch=512,
    layers=24, width=2048, vocab=50_000, positions=1024, text_batch=32, pairs=2000,
)  # fmt: skip
"""ViT-B-16, and an OPT of 1.3 billion weights."""
TOY = Sizes(
    vision={"image_size": 16, "layers": 1, "width": 16, "patch_size": 8, "head_width": 8},
    text={"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
    embed=8, classes=4, image_batch=4,
    layers=1, width=64, vocab=64, positions=64, text_batch=2, pairs=16,
)  # fmt: skip
"""For machines without GPU: that every part runs."""
_CHOICES = 4


def clip_folder(folder: Path) -> Path:
    """Where the image-text model is."""
    return folder / "clip"


def lm_folder(folder: Path) -> Path:
    """Where the language model is."""
    return folder / "lm"


def models(run: "Run") -> None:
    """Both models; a part, since a worker sets torch's allocator up before its process's first tensor."""
    for folder, write in ((clip_folder(run.folder), write_clip), (lm_folder(run.folder), write_lm)):
        if not folder.exists():
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            write(part, run.sizes, run.device)
            part.rename(folder)  # so that a folder is whole, or is not there
        print(f"{folder} is there", flush=True)


def write_clip(folder: Path, sizes: Sizes, device: torch.device) -> None:
    """A model of open_clip into this folder."""
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    config = {"embed_dim": sizes.embed, "vision_cfg": sizes.vision, "text_cfg": sizes.text}
    torch.manual_seed(0)
    with device:
        clip = CLIP(**config)
    state = {name: tensor.contiguous().cpu() for name, tensor in clip.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    files = {"model_cfg": config, "preprocess_cfg": {"size": sizes.vision["image_size"]}}
    (folder / "open_clip_config.json").write_text(json.dumps(files))


def new_lm(sizes: Sizes, device: torch.device, attention: str = "sdpa") -> Any:
    """An OPT of random weights on the device."""
    from transformers import AutoModelForCausalLM, OPTConfig

    config = OPTConfig(
        vocab_size=sizes.vocab,
        hidden_size=sizes.width,
        ffn_dim=4 * sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.width // 64,
        word_embed_proj_dim=sizes.width,
        max_position_embeddings=sizes.positions,
        dropout=0.0,
    )
    torch.manual_seed(0)
    with device:
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention)  # type: ignore[no-untyped-call, unused-ignore]


def write_lm(folder: Path, sizes: Sizes, device: torch.device) -> None:
    """A model of transformers in bf16 with a tokenizer of words into this folder."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel

    words = {word: i for i, word in enumerate(("<s>", "<pad>", "</s>", "<unk>"))}
    words |= {f"w{i}": i for i in range(len(words), sizes.vocab)}
    new_lm(sizes, device).to(torch.bfloat16).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_images(folder: Path, count: int, sizes: Sizes, seed: int) -> Path:
    """JPEGs of smooth noise, already of the model's size, in a folder per class; returns the folder."""
    size = sizes.vision["image_size"]

    def write(index: int) -> None:
        coarse = np.random.default_rng([seed, index]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        image.save(folder / f"class {index % sizes.classes}" / f"{index}.jpg", quality=90)

    for label in range(sizes.classes):
        (folder / f"class {label}").mkdir(parents=True)
    with ThreadPoolExecutor() as threads:
        list(threads.map(write, range(count)))
    return folder


def write_training_texts(path: Path, count: int, sizes: Sizes) -> Path:
    """Texts as long as medical questions and answers, 20 to 250 tokens stretched to `positions`; half is learnt."""
    rng = np.random.default_rng(0)
    stretch = sizes.positions / 250
    lengths = np.minimum(sizes.positions - 1, 20 * min(1, stretch) + rng.gamma(2.0, 45.0 * stretch, count)).astype(int)
    lines = []
    for length in lengths:
        text = _words(rng, length, sizes)
        lines.append({"instruction": " ".join(text[: length // 2]), "output": " ".join(text[length // 2 :])})
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def write_questions(path: Path, count: int, sizes: Sizes, seed: int) -> Path:
    """Questions of 20 to 59 tokens with four choices of 3 to 19."""
    rng = np.random.default_rng([1, seed])
    lines = []
    for _ in range(count):
        stem = " ".join(_words(rng, int(rng.integers(20, 60)) * sizes.positions // 1024 + 3, sizes))
        choices = [" ".join(_words(rng, int(rng.integers(3, 20)), sizes)) for _ in range(_CHOICES)]
        lines.append({"question": stem, "choices": choices, "answer": int(rng.integers(_CHOICES))})
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def _words(rng: np.random.Generator, count: int, sizes: Sizes) -> list[str]:
    return [f"w{i}" for i in rng.integers(4, sizes.vocab, count)]
