"""An alpha curve on multiple choice by our scorer, against `lm_eval.simple_evaluate` called once per alpha.

The other side does what a user of lm-eval does: for every alpha, interpolate the weights, load them into the
transformers model of an HFLM, and evaluate the task from its JSON lines. Same items, same weights, same process.
The two alternate at every alpha, so that what slows the machine for a while slows both. The right items must be the
same, except if the two best choices differ by less than 2e-4 (these are listed). In lm-eval's favour, the time that
each of its calls spends on asking pip for versions and on reading its thousands of task files is left out.
"""

import argparse
import contextlib
import copy
import io
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from verdict import print_machine, print_target

from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.scoring.scorer import LanguageScorer
from rayforget.interpolate.lerp import lerp
from rayforget.space.tasks.text import JsonLinesSource, MultipleChoiceTask
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks

NEAR_TIE = 2e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """One benchmark's items, as both sides ask them."""

    name: str
    prompt: str
    """For our side; theirs gets the same text from `jinja`."""
    jinja: str
    at_least: float
    """The required speed-up."""


@dataclass(slots=True)
class Clock:
    """Adds up the time spent inside; a context manager that may be entered again."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    _began: tuple[float, float] = field(default=(0.0, 0.0))

    def __enter__(self) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


ASKED = (
    Questions(
        name="arc_easy",
        prompt="Question: {question}\nAnswer:",
        jinja="Question: {{question}}\nAnswer:",
        at_least=3,
    ),
    Questions(
        name="pubmedqa",
        prompt="Abstract: {context}\nQuestion: {question}\nAnswer:",
        jinja="Abstract: {{context}}\nQuestion: {{question}}\nAnswer:",
        at_least=1.5,
    ),
)


def random_model(shared: Path, folder: Path, layers: int, width: int, positions: int) -> CausalLm:
    """An OPT of random weights with opt_real's tokenizer, saved and loaded like any other model."""
    from transformers import AutoTokenizer, OPTConfig, OPTForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(shared / "data" / "opt_real")
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        word_embed_proj_dim=width,
        ffn_dim=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    OPTForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), torch.device("cpu"))


def perturbed(model: CausalLm) -> dict[str, Tensor]:
    """theta_1: moves every tensor by noise of its own spread."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: tensor + torch.randn(tensor.shape, generator=generator) * (0.5 * tensor.std() + 0.01)
        for name, tensor in model.theta_0.items()
    }


def first_items(shared: Path, asked: Questions, count: int, folder: Path) -> Path:
    """A file with the first items of the real `val`."""
    lines = (shared / "data" / "text" / asked.name / "val.jsonl").read_text().splitlines()[:count]
    path = folder / f"{asked.name}_{count}.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


class OurCurve:
    """Our scorer on one task; making and tokenising the requests is part of the first point."""

    def __init__(
        self, model: CausalLm, theta_1: Mapping[str, Tensor], asked: Questions, items: Path, batch_tokens: int
    ) -> None:
        declared = MultipleChoiceTask(
            kind="multiple_choice",
            role="generality",
            group="g",
            prompt=asked.prompt,
            val=JsonLinesSource(kind="jsonl", path=str(items)),
            test=JsonLinesSource(kind="jsonl", path=str(items), limit=1),  # required by a task; nothing is scored on it
        )
        task = resolve_text_tasks({asked.name: declared})[asked.name]
        cache = items.parent / f"cache_{time.perf_counter_ns()}"
        self._model, self._theta_1, self._name = model, theta_1, asked.name
        self._scorer = LanguageScorer(
            model,
            {
                asked.name: lambda split: task_requests(
                    task,
                    split,
                    model.tokenizer,
                    max_length=model.max_length,
                    prefix_token=model.prefix_token,
                    cache=cache,
                )
            },
            batch_tokens=batch_tokens,
        )

    def point(self, alpha: float) -> NDArray[np.bool_]:
        """Which items are right."""
        (scored,) = self._scorer.score([lerp(self._model.theta_0, self._theta_1, alpha)], "val")
        assert not isinstance(scored, NotFinite), scored
        return np.asarray(scored[self._name].items, dtype=np.bool_)


class SeparateEvaluations:
    """lm-eval's HFLM over one transformers model, evaluated again for every alpha."""

    def __init__(self, model: CausalLm) -> None:
        import lm_eval.evaluator
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        lm_eval.evaluator.add_env_info = lambda storage: None
        self._tasks = TaskManager()
        self._model, self._lm = model, copy.deepcopy(model.head.lm)
        self._peers = {
            size: HFLM(pretrained=self._lm, tokenizer=model.tokenizer, batch_size=size, max_length=model.max_length)
            for size in (1, 8, 32)
        }

    def fastest_batch(self, asked: Questions, items: Path) -> int:
        """The batch size that is fastest for them on all items."""
        seconds = {}
        for size in self._peers:
            began = time.perf_counter()
            self.evaluate(asked, items, size)
            seconds[size] = time.perf_counter() - began
        tried = ", ".join(f"{taken:.2f} s with {size}" for size, taken in seconds.items())
        best = min(seconds, key=lambda size: seconds[size])
        print(f"  one separate evaluation, by batch size: {tried}; the fastest for them is used: {best}")
        return best

    def evaluate(self, asked: Questions, items: Path, batch_size: int) -> list[dict[str, Any]]:
        """lm-eval's samples, one per item."""
        import lm_eval

        task = {
            "task": asked.name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(items)}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": asked.jinja,
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            found = lm_eval.simple_evaluate(
                model=self._peers[batch_size], tasks=[task], task_manager=self._tasks, batch_size=batch_size
            )
        assert found is not None
        return sorted(found["samples"][asked.name], key=lambda sample: int(sample["doc_id"]))

    def point(
        self, theta_1: Mapping[str, Tensor], alpha: float, asked: Questions, items: Path, batch_size: int
    ) -> list[dict[str, Any]]:
        """The samples at one alpha."""
        for name, tensor in lerp(self._model.theta_0, theta_1, alpha).items():
            self._lm.get_parameter(name).data.copy_(tensor)
        return self.evaluate(asked, items, batch_size)


def compare(ours: Sequence[NDArray[np.bool_]], theirs: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """Asserts that both give the same, item by item, and prints the curve and each near-tie decided otherwise."""
    ties = []
    for point, (right, samples) in enumerate(zip(ours, theirs, strict=True)):
        expected = np.array([sample["acc"] == 1 for sample in samples])
        for index in np.flatnonzero(right != expected).tolist():
            second, best = sorted(float(value) for value, _ in samples[index]["filtered_resps"])[-2:]
            assert best - second < NEAR_TIE, f"item {index}: {samples[index]['filtered_resps']}"
            ties.append(f"point {point}, item {index}: their best two are {best:.6f} and {second:.6f}")
    print(f"  accuracy along the curve: {'  '.join(f'{right.mean():.4f}' for right in ours)}")
    print(f"  the same on both sides, item by item; near-ties decided otherwise: {len(ties)}", flush=True)
    for tie in ties:
        print(f"    {tie}", flush=True)


def quiet() -> None:
    """Keeps lm-eval, transformers and datasets from repeating their messages for every alpha."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--arc-easy", type=int, default=300, help="items")
    parser.add_argument("--pubmedqa", type=int, default=60, help="items")
    parser.add_argument("--points", type=int, default=11, help="alphas from 0 to 1")
    parser.add_argument("--layers", type=int, default=4, help="opt_real has 4")
    parser.add_argument("--width", type=int, default=640, help="at least 20 M parameters with 4 layers")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="ours")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads")
    given = parser.parse_args()
    quiet()
    torch.set_num_threads(given.threads)
    print_machine(given.threads)
    shared = Path(os.environ.get("RAYFORGET_SHARED", "../shared")).resolve()
    if not (shared / "data" / "opt_real").is_dir():
        raise SystemExit(f"no data at {shared}; set RAYFORGET_SHARED to the folder that holds data/")
    alphas = [round(float(alpha), 6) for alpha in np.linspace(0, 1, given.points)]
    with tempfile.TemporaryDirectory(prefix="rayforget-lm-") as temporary:
        folder = Path(temporary)
        import datasets

        datasets.config.HF_DATASETS_CACHE = folder / "hf"
        model = random_model(shared, folder / "model", given.layers, given.width, positions=1024)
        size = sum(tensor.numel() for tensor in model.theta_0.values())
        print(f"OPT of {size / 1e6:.1f} M parameters, {len(alphas)} alphas; loading it is in no figure below")
        theta_1, peer = perturbed(model), SeparateEvaluations(model)
        for asked, count in zip(ASKED, (given.arc_easy, given.pubmedqa), strict=True):
            run(asked, count, model, theta_1, alphas, peer, folder, given.batch_tokens, shared)


def run(
    asked: Questions,
    count: int,
    model: CausalLm,
    theta_1: Mapping[str, Tensor],
    alphas: Sequence[float],
    peer: SeparateEvaluations,
    folder: Path,
    batch_tokens: int,
    shared: Path,
) -> None:
    """Runs both sides on one task."""
    items, single = (first_items(shared, asked, each, folder) for each in (count, 1))
    rows = [json.loads(line) for line in items.read_text().splitlines()]
    print(f"\n{asked.name}: {len(rows)} items of {len(rows[0]['choices'])} choices")
    OurCurve(model, theta_1, asked, single, batch_tokens).point(0.0)  # warms up kernels, threads and imports
    peer.evaluate(asked, single, 1)
    began = time.perf_counter()
    peer.evaluate(asked, single, 1)
    print(f"  one separate evaluation of a single item: {time.perf_counter() - began:.2f} s")
    batch_size = peer.fastest_batch(asked, items)
    ours, theirs = Clock(), Clock()
    with ours:
        curve = OurCurve(model, theta_1, asked, items, batch_tokens)
    right, samples = [], []
    for alpha in alphas:
        with ours:
            right.append(curve.point(alpha))
        with theirs:
            samples.append(peer.point(theta_1, alpha, asked, items, batch_size))
    print(
        f"  our curve: {ours.wall_s:.1f} s ({ours.cpu_s:.1f} of CPU); separate evaluations: {theirs.wall_s:.1f} s "
        f"({theirs.cpu_s:.1f} of CPU, {theirs.cpu_s / ours.cpu_s:.2f} times ours)"
    )
    compare(right, samples)
    ratio = theirs.wall_s / ours.wall_s
    print_target(f"{asked.name}, separate evaluations over our curve", ratio, at_least=asked.at_least)


if __name__ == "__main__":
    main()
