"""Prompts as IFEval's -> the seconds in which a model answers them, beside lm-eval's HFLM."""

from collections.abc import Callable
from importlib.util import find_spec
from math import nan
from typing import Any

import numpy as np
import torch
from generation_peers import by_plain_generate, generate_by_hflm
from gpu_models import new_lm
from gpu_run import Run, mean_seconds
from lm_scoring_peers import best_seconds

from rayforget.evaluate.precision import run_in
from rayforget.foundations.causal_lm.prepared import PreparedCausalLm
from rayforget.foundations.causal_lm.scoring.generation import generate
from rayforget.tasks.text.types import Generations
from rayforget.trial.equipment import Equipment

_PROMPTS = 60


def tell_answers(run: Run, equipment: Equipment) -> None:
    """Rows of one α's answers."""
    foundation = equipment.foundation
    assert isinstance(foundation, PreparedCausalLm)
    model, most = foundation.model, 8 if run.toy else 128
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 20, 6) if run.toy else rng.integers(20, 121, _PROMPTS)
    prompts = [rng.integers(4, run.sizes.vocab, length).astype(np.int32) for length in lengths]
    asked = Generations(prompts=prompts, until=[()] * len(prompts), max_new_tokens=[most] * len(prompts))
    theta = {name: tensor.to(run.device, copy=True) for name, tensor in model.theta_0.items()}
    precision, batch_tokens = equipment.precision_of("val"), equipment.space.resources.evaluation_tokens
    what, ours = f"{most} new tokens of {len(prompts)} prompts", nan
    with run.attempt(what), run_in(precision, run.device):
        ours = mean_seconds(lambda: generate(model, theta, asked, batch_tokens=batch_tokens), times=2, warm=1)
        print(f"answered in {precision}", flush=True)
    del theta
    dtype = torch.float32 if run.toy else torch.bfloat16
    with run.attempt(f"{what} by others"):
        lm = new_lm(run.sizes, run.device).eval().to(dtype)
        name, answer = _peer(lm, model.tokenizer, [prompt.tolist() for prompt in prompts], most)
        batch, theirs = best_seconds(answer, (2,) if run.toy else (64, 32))
        called = f"{name}, {dtype}, batch {batch}".replace("torch.", "")
        run.row(what, ours, "s", peer=called, theirs=theirs, target=3)


def _peer(lm: Any, tokenizer: Any, prompts: list[list[int]], most: int) -> tuple[str, Callable[[int], Any]]:
    """HFLM, or transformers' `generate` where lm-eval is not installed."""
    if find_spec("lm_eval") is None:
        return "plain generate", lambda batch: by_plain_generate(lm, prompts, batch, most)
    texts = [tokenizer.decode(prompt) for prompt in prompts]
    return "HFLM", lambda batch: generate_by_hflm(lm, tokenizer, texts, batch, most)
