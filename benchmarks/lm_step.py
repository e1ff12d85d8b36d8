"""A language model's training step against transformers' Trainer, and what distillation adds in time and memory.

Each variant runs in a process of its own, so that its peak of resident memory is its own; the processes take turns
for several rounds, and ratios are of one round. Same sequences, same batches, same weights (random), same optimiser,
loss on the answer's tokens alone. transformers' Trainer fills every batch up to its longest sequence and makes the
logits of all tokens, as its users' scripts do.
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
from torch import Tensor, nn
from verdict import print_machine, print_target

from rayforget.foundations.causal_head import CausalHead
from rayforget.foundations.causal_learner import CausalLearner
from rayforget.foundations.causal_lm import CausalLm, load_causal_lm
from rayforget.space.models import CausalLmFoundation
from rayforget.space.recipe import Distillation, FullAdapter, LoraAdapter, Recipe
from rayforget.tasks.text.types import TrainingSet
from rayforget.train.lora import attach_lora
from rayforget.train.trainer import Trainer

VARIANTS = ("full", "full, transformers", "lora", "lora, transformers", "lora kd", "lora kd, deep copy")
LORA = LoraAdapter(rank=8)
SKIPPED = 2
"""Steps before the timed ones."""


def write_model(folder: Path, *, width: int, layers: int) -> None:
    """An OPT of random weights with 4,096 pieces, in the hub's format; its tokenizer is never asked."""
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, OPTConfig

    config = OPTConfig(
        vocab_size=4096,
        hidden_size=width,
        ffn_dim=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        word_embed_proj_dim=width,
        max_position_embeddings=512,
        dropout=0.0,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call, unused-ignore]
    Tokenizer(models.WordLevel({"a": 4}, unk_token="a")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def sequences(num_items: int, batch: int) -> TrainingSet:
    """Lengths as of medical questions and answers: 20 to 250 tokens, of which the second half is learnt."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(250, 20 + rng.gamma(2.0, 45.0, num_items)).astype(np.int64)
    return TrainingSet(
        tokens=rng.integers(4, 4096, lengths.sum()).astype(np.int32),
        starts=np.concatenate([[0], lengths.cumsum()]),
        first_targets=(lengths // 2).astype(np.int32),
        facts={},
        items_hash="",
    )


def recipe(variant: str, args: argparse.Namespace) -> Recipe:
    """What the variant trains."""
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
        seed=0,
    )


def ours(model: CausalLm, variant: str, args: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    data = sequences((SKIPPED + args.steps) * args.batch, args.batch)
    module = CausalHead(copy.deepcopy(model.head.lm).requires_grad_(True)).train()
    learner = CausalLearner(model, module, data, packing=True)
    trainer = Trainer(learner, recipe(variant, args), seed=0)
    if "deep copy" in variant:
        teach_with_a_copy(trainer, model)
    seconds = []
    while trainer.step < trainer.total_steps:
        seconds.append(timed(trainer.take_step))
    return seconds


def teach_with_a_copy(trainer: Trainer, model: CausalLm) -> None:
    """Lets a second model answer as the teacher: what a script does that knows no better."""
    teacher = CausalHead(copy.deepcopy(model.head.lm)).eval()

    @torch.no_grad()
    def answer(_: nn.Module, __: Any, inputs: dict[str, Tensor]) -> Tensor:
        output: Tensor = teacher(**inputs)
        return output

    setattr(sys.modules[Trainer.__module__], "teacher_output", answer)  # noqa: B010 (no name that the module exports)


def theirs(model: CausalLm, variant: str, args: argparse.Namespace) -> list[float]:
    """The same steps by transformers' Trainer."""
    from transformers import Trainer as HfTrainer
    from transformers import TrainerCallback, TrainingArguments

    data = sequences((SKIPPED + args.steps) * args.batch, args.batch)
    lm = copy.deepcopy(model.head.lm).requires_grad_(True)
    if variant.startswith("lora"):
        attach_lora(lm, LORA, seed=0, output=lm.get_output_embeddings())  # type: ignore[operator]
    rows = []
    for i, first in enumerate(data.first_targets.tolist()):
        tokens = data.tokens[data.starts[i] : data.starts[i + 1]].tolist()
        rows.append({"input_ids": tokens, "labels": [-100] * first + tokens[first:]})

    def collate(batch: list[dict[str, list[int]]]) -> dict[str, Tensor]:
        longest = max(len(row["input_ids"]) for row in batch)
        filled = {"input_ids": 1, "labels": -100}
        found = {
            key: torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in batch])
            for key, value in filled.items()
        }
        lengths = torch.tensor([len(row["input_ids"]) for row in batch])
        return {**found, "attention_mask": (torch.arange(longest) < lengths[:, None]).long()}

    seconds: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronise()
            seconds.append(time.perf_counter() - self.started)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=args.batch,
            num_train_epochs=1,
            learning_rate=1e-4,
            lr_scheduler_type="cosine",
            weight_decay=0.0,
            bf16=args.precision == "bf16",
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        HfTrainer(model=lm, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]).train()
    return seconds


def synchronise() -> None:
    """Waits for a GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Any) -> float:
    """Seconds."""
    synchronise()
    started = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - started


def run_one(args: argparse.Namespace) -> None:
    """One variant in this process; prints its figures as JSON."""
    torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(args.model)), device)
    before = peak_bytes()
    seconds = (theirs if "transformers" in args.one else ours)(model, args.one, args)
    tokens = len(sequences((SKIPPED + args.steps) * args.batch, args.batch).tokens) / (SKIPPED + args.steps)
    figures = {
        "step_s": statistics.median(seconds[SKIPPED:]),
        "tokens_per_s": tokens / statistics.mean(seconds[SKIPPED:]),
        "peak": peak_bytes(),
        "before": before,
        "weights": sum(tensor.numel() for tensor in model.theta_0.values()),
    }
    print(json.dumps(figures))


def peak_bytes() -> int:
    """The most memory so far: of the GPU where there is one, else resident."""
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
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.one:
        run_one(args)
        return
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), width=args.width, layers=args.layers)
        rounds = [{variant: start(variant, folder, args) for variant in VARIANTS} for _ in range(args.rounds)]
    print(f"\nOPT of {rounds[0]['full']['weights'] / 1e6:.1f} M weights, batch {args.batch}, {args.precision}")
    for variant in VARIANTS:
        speed = statistics.median(figures[variant]["tokens_per_s"] for figures in rounds)
        peak = statistics.median(figures[variant]["peak"] for figures in rounds)
        print(f"  {variant:20} {speed:8.0f} tokens/s   peak {peak / 2**20:6.0f} MiB")

    def ratio(first: str, second: str, figure: str) -> float:
        return statistics.median(figures[first][figure] / figures[second][figure] for figures in rounds)

    for kind in ("full", "lora"):
        speed = ratio(kind, f"{kind}, transformers", "tokens_per_s")
        print_target(f"{kind}: tokens per second over transformers' Trainer", speed, at_least=1.0)
    memory = 100 * (ratio("lora kd", "lora", "peak") - 1)
    print_target("KD for LoRA: memory above the step without KD, %", memory, at_most=10.0)
    print(f"  with a deep-copied teacher: {100 * (ratio('lora kd, deep copy', 'lora', 'peak') - 1):.1f} %")
    print(f"  KD step over a KD step with a deep copy, time: {ratio('lora kd', 'lora kd, deep copy', 'step_s'):.2f}")


def start(variant: str, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """The variant in a process of its own."""
    options = [f"--{name}={getattr(args, name)}" for name in ("steps", "batch", "precision", "threads")]
    command = [sys.executable, __file__, "--one", variant, "--model", folder, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{variant} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
