"""A language model's training step against transformers' Trainer, and what distillation adds in time and memory.

Each variant runs in a process of its own, so that its peak of resident memory is its own; the processes alternate for
several rounds, and ratios are taken within a round. Both sides have the same sequences, batches, (random) weights and
optimiser, and the loss on the answer's tokens alone. transformers' Trainer pads every batch to its longest sequence and
makes the logits of all tokens, as its users' scripts do.

At 1.3 billion weights on a GPU, with the share of the chip's bf16 peak:

    python benchmarks/lm_step.py --layers 24 --width 2048 --vocab 50000 --precision bf16 --batch 32 --length 1024
"""

import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_peers import flops, padded, peak_tflops, rows_of, synchronise, trainer_seconds
from torch import Tensor, nn
from verdict import print_machine, print_target

from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.learner import CausalLearner
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.space.recipe import FullAdapter, LoraAdapter, Recipe
from rayforget.tasks.text.types import TrainingSet
from rayforget.train.lora import attach_lora
from rayforget.train.penalties.kd import Distillation
from rayforget.train.teacher import ask_teacher
from rayforget.train.trainer import Trainer

VARIANTS = ("full", "full, transformers", "lora", "lora, transformers", "lora kd", "lora kd, deep copy")
LORA = LoraAdapter(rank=8)
SKIPPED = 2
"""Steps before the timed ones."""
FORWARDED = ("steps", "batch", "layers", "width", "vocab", "length", "checkpointing", "precision", "threads")


def write_model(folder: Path, args: argparse.Namespace) -> None:
    """Writes an OPT of random weights in the hub's format; its tokenizer is never used."""
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, OPTConfig

    config = OPTConfig(
        vocab_size=args.vocab,
        hidden_size=args.width,
        ffn_dim=4 * args.width,
        num_hidden_layers=args.layers,
        num_attention_heads=args.width // 64,
        word_embed_proj_dim=args.width,
        max_position_embeddings=max(512, args.length),
        dropout=0.0,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call, unused-ignore]
    Tokenizer(models.WordLevel({"a": 4}, unk_token="a")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def sequences(args: argparse.Namespace) -> TrainingSet:
    """Sequences as long as medical questions and answers: 20 to 250 tokens (scaled to `--length`).

    The second half of each is learnt.
    """
    rng = np.random.default_rng(0)
    num_items, stretch = (SKIPPED + args.steps) * args.batch, args.length / 250
    lengths = np.minimum(args.length, 20 + rng.gamma(2.0, 45.0 * stretch, num_items)).astype(np.int64)
    return TrainingSet(
        tokens=rng.integers(4, args.vocab, lengths.sum()).astype(np.int32),
        starts=np.concatenate([[0], lengths.cumsum()]),
        first_targets=(lengths // 2).astype(np.int32),
        facts={},
        items_hash="",
    )


def recipe(variant: str, args: argparse.Namespace) -> Recipe:
    """The variant's recipe."""
    return Recipe(
        method="m",
        adapter=LORA if variant.startswith("lora") else FullAdapter(),
        penalties=(Distillation(kind="kd", strength=1.0),) if "kd" in variant else (),
        learning_rate=1e-4,
        epochs=1,
        batch_size=args.batch,
        warmup_fraction=0.0,
        weight_decay=0.0,
        precision=args.precision,
        gradient_checkpointing=args.checkpointing,
        seed=0,
    )


def step_flops(args: argparse.Namespace, weights: int) -> float:
    """Floating-point operations that one step of full fine-tuning needs, on average over the steps."""
    positions = max(512, args.length)
    shape = {"vocab": args.vocab, "width": args.width, "layers": args.layers, "positions": positions}
    whole: float = flops(sequences(args), weights=weights, **shape)
    return float(whole / (SKIPPED + args.steps))


def trainable_copy(model: CausalLm, args: argparse.Namespace) -> Any:
    """A model of transformers to train."""
    lm: Any = copy.deepcopy(model.head.lm).requires_grad_(True)
    if args.checkpointing:
        lm.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    return lm


def ours(model: CausalLm, variant: str, args: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    module = CausalHead(trainable_copy(model, args)).train()
    learner = CausalLearner(model, module, sequences(args), packing=True)
    trainer = Trainer(learner, recipe(variant, args), seed=0)
    if "deep copy" in variant:
        teach_with_a_copy(model)
    seconds = []
    while trainer.step < trainer.total_steps:
        seconds.append(timed(trainer.take_step))
    return seconds


def teach_with_a_copy(model: CausalLm) -> None:
    """Makes a second model answer as the teacher, as a naive script would."""
    teacher = CausalHead(copy.deepcopy(model.head.lm)).eval()

    @torch.no_grad()
    def answer(_: nn.Module, __: Any, inputs: dict[str, Tensor]) -> Tensor:
        output: Tensor = teacher(**inputs)
        return output

    setattr(sys.modules[ask_teacher.__module__], "teacher_output", answer)  # noqa: B010 (no name that the module exports)


def theirs(model: CausalLm, variant: str, args: argparse.Namespace) -> list[float]:
    """The same steps by transformers' Trainer."""
    lm = trainable_copy(model, args)
    if variant.startswith("lora"):
        attach_lora(lm, LORA, seed=0, output=lm.get_output_embeddings())
    return trainer_seconds(lm, rows_of(sequences(args)), padded, batch=args.batch, bf16=args.precision == "bf16")


def timed(work: Any) -> float:
    """Seconds that the work takes."""
    synchronise()
    started = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - started


def run_one(args: argparse.Namespace) -> dict[str, Any]:
    """Runs one variant in this process; returns its figures."""
    torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(args.model)), device)
    before = peak_bytes()
    seconds = (theirs if "transformers" in args.one else ours)(model, args.one, args)
    tokens = len(sequences(args).tokens) / (SKIPPED + args.steps)
    weights = sum(tensor.numel() for tensor in model.theta_0.values())
    return {
        "step_s": statistics.median(seconds[SKIPPED:]),
        "tokens_per_s": tokens / statistics.mean(seconds[SKIPPED:]),
        "peak": peak_bytes(),
        "before": before,
        "weights": weights,
        "tflops": step_flops(args, weights) / statistics.mean(seconds[SKIPPED:]) / 1e12,
        "peak_tflops": peak_tflops() if args.peak_tflops is None else args.peak_tflops,
    }


def peak_bytes() -> int:
    """Peak memory so far: the GPU's if there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs all variants and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=12, help="timed steps of each variant and round")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocab", type=int, default=4096, help="pieces of the vocabulary")
    parser.add_argument("--length", type=int, default=250, help="tokens of the longest sequence")
    parser.add_argument("--checkpointing", type=int, default=0, choices=(0, 1), help="1: gradient checkpointing")
    parser.add_argument("--peak-tflops", type=float, help="of the device in this precision, where it is not known")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--together", action="store_true", help="all in one process: soon done, its memory means nothing"
    )
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.one:
        print(json.dumps(run_one(args)))
        return
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), args)
        rounds = [{variant: start(variant, folder, args) for variant in VARIANTS} for _ in range(args.rounds)]
    print(f"\nOPT of {rounds[0]['full']['weights'] / 1e6:.1f} M weights, batch {args.batch}, {args.precision}")
    for variant in VARIANTS:
        speed = statistics.median(figures[variant]["tokens_per_s"] for figures in rounds)
        peak = statistics.median(figures[variant]["peak"] for figures in rounds)
        added = statistics.median(figures[variant]["added"] for figures in rounds)
        memory = f"peak {peak / 2**20:6.0f} MiB, of which {added / 2**20:6.0f} above the loaded model"
        print(f"  {variant:20} {speed:8.0f} tokens/s   {memory}")

    def ratio(first: str, second: str, figure: str) -> float:
        return statistics.median(figures[first][figure] / figures[second][figure] for figures in rounds)

    print_share_of_peak([figures["full"] for figures in rounds], args)

    for kind in ("full", "lora"):
        speed = ratio(kind, f"{kind}, transformers", "tokens_per_s")
        print_target(f"{kind}: tokens per second over transformers' Trainer", speed, at_least=1.0)
    more = 100 * (ratio("lora kd", "lora", "added") - 1)
    print_target("KD for LoRA: what the step adds to the loaded model, above that without KD, %", more, at_most=10.0)
    print(f"  with a deep-copied teacher: {100 * (ratio('lora kd, deep copy', 'lora', 'added') - 1):.1f} %")
    print(f"  KD step over a KD step with a deep copy, time: {ratio('lora kd', 'lora kd, deep copy', 'step_s'):.2f}")


def print_share_of_peak(rounds: list[dict[str, float]], args: argparse.Namespace) -> None:
    """Prints the throughput of full fine-tuning, and its share of the chip's bf16 peak if that is known."""
    rate = statistics.median(figures["tflops"] for figures in rounds)
    checkpointing = "; what gradient checkpointing computes twice is counted once" if args.checkpointing else ""
    print(f"  full: {rate:.4g} TFLOP/s needed by the model{checkpointing}")
    peak = rounds[0]["peak_tflops"]
    if peak is None:
        print("  no peak is known of this device; --peak-tflops gives its share")
    elif rounds[0]["weights"] > 1e9 and args.precision == "bf16":
        print_target("full: share of the bf16 peak, %", 100 * rate / peak, at_least=45.0)
    else:
        print(f"  full: {100 * rate / peak:.1f} % of a peak of {peak:g} TFLOP/s ({args.precision})")


def start(variant: str, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """Runs the variant in a process of its own, unless the options say that this one will do."""
    if args.together:
        return with_added(run_one(argparse.Namespace(**{**vars(args), "one": variant, "model": Path(folder)})))
    options = [f"--{name}={getattr(args, name)}" for name in FORWARDED]
    if args.peak_tflops is not None:
        options.append(f"--peak-tflops={args.peak_tflops}")
    command = [sys.executable, __file__, "--one", variant, "--model", folder, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{variant} failed:\n{done.stderr[-3000:]}")
    return with_added(json.loads(done.stdout.strip().splitlines()[-1]))


def with_added(figures: dict[str, float]) -> dict[str, float]:
    """The figures, with what the step adds to the loaded model."""
    return {**figures, "added": max(1.0, figures["peak"] - figures["before"])}


if __name__ == "__main__":
    main()
