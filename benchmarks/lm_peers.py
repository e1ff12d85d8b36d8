"""transformers' Trainer on a causal language model, as its users run it: seconds of each step, padded or flattened."""

import inspect
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rayforget.tasks.text.types import TrainingSet

PEAKS = {"B200": 2250.0, "H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}
"""Part of torch.cuda.get_device_name() -> the maker's dense bf16 TFLOP/s."""
Rows = Sequence[dict[str, list[int]]]
Collate = Callable[[list[dict[str, list[int]]]], dict[str, Any]]


def peak_tflops() -> float | None:
    """The GPU's, if it is known."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def flops(data: TrainingSet, *, weights: int, vocab: int, width: int, layers: int, positions: int) -> float:
    """Floating-point operations that one pass of full fine-tuning over the sequences of an OPT needs.

        6 N tokens + 6 vocabulary width targets + 6 layers width sum_i length_i^2

    N counts the layers' weights; the output layer is needed only for the learnt tokens; the last term is attention's,
    which only looks back. What gradient checkpointing computes twice is counted once, since it is needed once.
    """
    lengths = np.diff(data.starts).astype(np.float64)
    targets = float((lengths - data.first_targets).sum())
    of_layers = float(weights - vocab * width - (positions + 2) * width)
    attention = 6.0 * layers * width * float(np.square(lengths).sum())
    total: float = 6 * of_layers * float(lengths.sum()) + 6 * vocab * width * targets + attention
    return total


def rows_of(data: TrainingSet) -> Rows:
    """The sequences as the Trainer takes them; -100 marks what is not learnt."""
    rows = []
    for i, first in enumerate(data.first_targets.tolist()):
        tokens = data.tokens[data.starts[i] : data.starts[i + 1]].tolist()
        rows.append({"input_ids": tokens, "labels": [-100] * first + tokens[first:]})
    return rows


def padded(batch: list[dict[str, list[int]]]) -> dict[str, Tensor]:
    """Rows padded to the longest."""
    longest = max(len(row["input_ids"]) for row in batch)
    filled = {"input_ids": 1, "labels": -100}
    found = {
        key: torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in batch])
        for key, value in filled.items()
    }
    lengths = torch.tensor([len(row["input_ids"]) for row in batch])
    return {**found, "attention_mask": (torch.arange(longest) < lengths[:, None]).long()}


def flattened() -> Collate:
    """transformers' own collator of one long row with the sequences' boundaries."""
    from transformers import DataCollatorWithFlattening

    return DataCollatorWithFlattening(return_flash_attn_kwargs=True)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


def trainer_seconds(lm: nn.Module, rows: Rows, collate: Collate, *, batch: int, bf16: bool) -> list[float]:
    """Seconds of each step of one epoch."""
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

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
            per_device_train_batch_size=batch,
            num_train_epochs=1,
            learning_rate=1e-4,
            lr_scheduler_type="cosine",
            weight_decay=0.0,
            bf16=bf16,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = Trainer(model=lm, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()])  # type: ignore[arg-type, unused-ignore]
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return seconds


def flat_attention() -> str:
    """The attention that a flattened row takes: flash-attn, else torch's for documents of their own lengths, else sdpa.

    sdpa makes a dense mask of the positions; it is for machines without GPU.
    """
    if not torch.cuda.is_available():
        return "sdpa"
    try:
        import flash_attn  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        from transformers import AttentionInterface

        AttentionInterface.register("varlen", _varlen)
        return "varlen"
    return "flash_attention_2"


def _varlen(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **given: Any) -> Any:
    """transformers' attention by `torch.nn.attention.varlen`, whose arguments changed from 2.10 to 2.11."""
    from torch.nn.attention.varlen import varlen_attn

    ours = torch.bfloat16 if query.dtype == torch.float32 else query.dtype
    scale = given.get("scaling") or query.shape[-1] ** -0.5
    query = query * (scale * query.shape[-1] ** 0.5)
    q, k, v = (x[0].transpose(0, 1).to(ours) for x in (query, key, value))
    known = inspect.signature(varlen_attn).parameters
    causal = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    starts = given["cu_seq_lens_q"], given["cu_seq_lens_k"]
    longest = given["max_length_q"], given["max_length_k"]
    output: Any = varlen_attn(q, k, v, *starts, *longest, **causal)
    return output[None], None


def synchronise() -> None:
    """Waits for a GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
