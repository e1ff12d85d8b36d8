"""A language model on a device: trainings beside transformers' Trainer, scores beside HFLM, the time in between."""

import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from math import nan
from typing import Any

import numpy as np
import torch
from gpu_generation import tell_answers
from gpu_models import lm_folder, new_lm, write_questions, write_training_texts
from gpu_profile import profile_work
from gpu_requests import ask_without_lm_eval
from gpu_run import (
    Run,
    Timed,
    chosen_by,
    counted,
    open_equipment,
    precision_of,
    recipe_of,
    scoring_s,
    timed_training,
    trial,
)
from lm_peers import flat_attention, flattened, flops, padded, peak_tflops, rows_of, trainer_seconds
from lm_scoring_peers import best_seconds, by_hflm, by_plain_forward

from rayforget.foundations.causal_lm.prepared import PreparedCausalLm
from rayforget.space.recipe import LoraAdapter
from rayforget.tasks.text.types import TrainingSet
from rayforget.train.lora import attach_lora
from rayforget.train.trainer import Trainer
from rayforget.trial.equipment import Equipment

_LORA = {"kind": "lora", "rank": 16}
_PADDED, _FLAT = "Trainer, padded", "Trainer, flattened"
_TARGETS = {("full", _PADDED): 2.2, ("full", _FLAT): 1.2, ("LoRA", _PADDED): 2.5, ("LoRA", _FLAT): 1.2}


def lm_train(run: Run) -> None:
    """Tokens per second of full fine-tuning and LoRA, and the share of the chip's peak."""
    steps, skipped = run.steps(60, 40), 2 if run.toy else 9
    equipment = _open(run, trained=steps * run.sizes.text_batch, pairs=16, alphas=(0.0, 1.0))
    assert isinstance(equipment.foundation, PreparedCausalLm)
    for name in equipment.sweep.store.json_files("kernels"):
        print(f"kernels: {equipment.sweep.store.read(f'kernels/{name}').decode()}", flush=True)
    data = equipment.foundation.training_set()
    rates: dict[str, float] = {}
    variants: dict[str, dict[str, Any]] = {"full": {}, "LoRA": {"adapter": _LORA}}
    if not (run.early or run.toy):
        variants["full, compile"] = {"compile": True}
    for name, changes in list(variants.items())[:2]:
        with run.attempt(name):
            recipe = recipe_of(equipment, **changes)
            timed = timed_training(equipment, recipe, steps=steps, skipped=skipped, within_s=20)
            rates[name] = _tell_training(run, name, timed, data)
    for name in ("full", "LoRA"):
        for peer in (_PADDED, _FLAT):
            with run.attempt(f"{name} by {peer}"):
                attention = flat_attention() if peer == _FLAT else "sdpa"
                theirs = _trainer_rate(run, name, peer, attention, data)
                called = peer if peer == _PADDED else f"{peer}, {attention}"
                more = {"peer": called, "theirs": theirs, "target": _TARGETS[name, peer]}
                run.row(name, rates.get(name, nan), "tokens/s", **more)
    with run.attempt("profile"):
        recipe = recipe_of(equipment)
        trainer = Trainer(equipment.foundation.learner(recipe), recipe, seed=0)
        profile_work(run, "full training step", trainer.take_step)
        del trainer
    for name, changes in list(variants.items())[2:]:
        with run.attempt(name):
            recipe = recipe_of(equipment, **changes)
            timed = timed_training(equipment, recipe, steps=steps, skipped=skipped, within_s=40)
            _tell_training(run, name, timed, data)


def _tell_training(run: Run, name: str, timed: Timed, data: TrainingSet) -> float:
    """Rows of one training; returns tokens per second after the first steps."""
    sizes = run.sizes
    items = len(data.first_targets)
    tokens = len(data.tokens) / items * sizes.text_batch
    run.row(f"{name}: whole, with its start", tokens / timed.whole_step_s, "tokens/s")
    run.row(f"{name}: after {timed.skipped} of {len(timed.ends)} steps", tokens / timed.step_s, "tokens/s")
    peak = peak_tflops()
    if name.startswith("full") and peak is not None:
        weights = 12 * sizes.layers * sizes.width**2 + sizes.vocab * sizes.width + sizes.positions * sizes.width
        shape = {"vocab": sizes.vocab, "width": sizes.width, "layers": sizes.layers, "positions": sizes.positions}
        step = flops(data, weights=weights, **shape) / items * sizes.text_batch / 1e12 / peak
        run.row(f"{name}: share of {peak:g} TFLOP/s", 100 * step / timed.step_s, "%", target=45)
        run.row(f"{name}: the same, whole", 100 * step / timed.whole_step_s, "%", target=40)
    return tokens / timed.step_s


def _trainer_rate(run: Run, name: str, peer: str, attention: str, data: TrainingSet) -> float:
    """Tokens per second of transformers' Trainer, with its LoRA attached as peft does."""
    lm = new_lm(run.sizes, run.device, attention).train()
    if name == "LoRA":
        adapter = LoraAdapter.model_validate(_LORA)
        attach_lora(lm, adapter, seed=0, output=lm.get_output_embeddings())
    skipped, steps = 2, run.steps(14, 10)
    batch = run.sizes.text_batch
    rows = rows_of(data)[: steps * batch]
    collate = padded if peer == _PADDED else flattened()
    seconds = trainer_seconds(lm, rows, collate, batch=batch, bf16=run.precision == "bf16")
    return len(data.tokens) / len(data.first_targets) * batch / float(np.mean(seconds[skipped:]))


def lm_score(run: Run) -> None:
    """Seconds of one alpha, everything included, and of written answers, beside lm-eval's HFLM."""
    equipment = _open(run, trained=run.sizes.text_batch, pairs=run.sizes.pairs, alphas=(0.0, 0.5, 1.0))
    foundation = equipment.foundation
    assert isinstance(foundation, PreparedCausalLm)
    seconds = [nan]
    with run.attempt("curves"):
        for number in range(2):  # the first settles what is settled once per sweep
            record = trial(equipment, number)
            seconds.append(scoring_s(record) / 2)
            run.row(("the first curve, each α", "one α of all pairs")[number], seconds[-1], "s")
        print(f"scored in {precision_of(record)}: {chosen_by(equipment)}", flush=True)
    pairs, dtype = _pairs(run), torch.float32 if run.toy else torch.bfloat16
    with run.attempt("peers"):
        lm = new_lm(run.sizes, run.device).eval().to(dtype)
        peers: dict[str, Callable[[int], Any]] = {
            "plain forward": lambda batch: by_plain_forward(lm, pairs, batch),
            "HFLM": lambda batch: by_hflm(lm, foundation.model.tokenizer, pairs, batch),
        }
        if find_spec("lm_eval") is None:
            del peers["HFLM"]
            print("no lm_eval here: a plain forward stands in for its HFLM", flush=True)
        for name, score in peers.items():
            batch, theirs = best_seconds(score, (2,) if run.toy else (16, 64, 128))
            called = f"{name}, {dtype}, batch {batch}".replace("torch.", "")
            run.row("one α of all pairs", seconds[-1], "s", peer=called, theirs=theirs, target=5)
        del lm, peers
    if not run.early:
        tell_answers(run, equipment)
    with run.attempt("profile"):
        profile_work(run, "a training of one step and its curve", counted(equipment, 2), times=1, warm=0)


def checkpoint(run: Run) -> None:
    """What a slot does between two trainings beyond training and scoring."""
    equipment = _open(run, trained=run.sizes.text_batch, pairs=16, alphas=(0.0, 1.0))
    for number in range(3):
        began = time.perf_counter()
        record = trial(equipment, number)
        rest = time.perf_counter() - began - record.seconds["train"] - record.seconds["evaluate"]
        what = f"training {number + 1}: beyond training and scoring"
        run.row(what, rest, "s", **({"target": 1.0, "at_most": True} if number else {}))
        run.row(f"training {number + 1}: training of one step, with its start", record.seconds["train"], "s")


def _open(run: Run, *, trained: int, pairs: int, alphas: tuple[float, ...]) -> Equipment:
    ask_without_lm_eval()
    folder = run.folder / run.part
    folder.mkdir(parents=True, exist_ok=True)
    count = max(2, pairs // 8)  # four choices each, two tasks

    def texts(name: str, seed: int) -> dict[str, str]:
        path = write_questions(folder / f"{name}.jsonl", count, run.sizes, seed)
        return {"kind": "jsonl", "path": str(path)}

    train = {"kind": "jsonl", "path": str(write_training_texts(folder / "train.jsonl", trained, run.sizes))}
    asked = {"kind": "multiple_choice", "prompt": "{question}"}
    answers = {"kind": "instruction", "role": "speciality", "prompt": "{instruction}", "train": train}
    special = {**asked, "role": "speciality", "val": texts("val", 0), "test": texts("test", 1)}
    general = {**asked, "role": "generality", "group": "g", "val": texts("val 2", 2), "test": texts("test 2", 3)}
    recipe = {"learning_rate": 1e-5, "epochs": 1, "batch_size": run.sizes.text_batch, "weight_decay": 0.0}
    tree = {
        "foundation": {"kind": "causal_lm", "model": str(lm_folder(run.folder))},
        "tasks": {"answers": answers, "special": special, "general": general},
        "recipe": {**recipe, "precision": run.precision},
        "curve": {"coarse": list(alphas), "refine": 0},
    }
    return open_equipment(run, tree)


def _pairs(run: Run) -> list[tuple[list[int], list[int]]]:
    """The pairs of both tasks' `val` as token ids of context and continuation, read from the same files."""
    pairs = []
    for name in ("val", "val 2"):
        for line in (run.folder / run.part / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            context = [int(word[1:]) for word in row["question"].split()]
            pairs += [(context, [int(word[1:]) for word in choice.split()]) for choice in row["choices"]]
    return pairs
