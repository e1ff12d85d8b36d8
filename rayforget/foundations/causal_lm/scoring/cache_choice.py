"""A model -> whether its answers can be written with a cache of fixed size: tried once, on the model itself.

The model answers a few tokens by transformers' `generate`, and `Decoding` is given the same tokens: its logits must be
the same at every step. What the trial cannot see is asked of the configuration: rules for answers, and keys and values
that are not all kept.
"""

import logging
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rayforget.evaluate.precision import current_precision, exactly
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.scoring.prompt_rows import prompt_rows
from rayforget.foundations.causal_lm.scoring.static_cache import Decoding
from rayforget.foundations.causal_lm.scoring.step_graph import CaptureError, repeated
from rayforget.space.precision import FULL, ScoringPrecision

logger = logging.getLogger(__name__)

LOOKING_BACK = {
    **{"repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "guidance_scale": 1.0},
    **{"no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "min_length": 0},
}
"""Rules of a generation_config.json that look at all tokens so far, each with the value by which it does nothing."""
_NO_RULES = frozenset(
    {
        *("do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"),
        *("num_beams", "num_beam_groups", "num_return_sequences", "early_stopping", "length_penalty"),
        *("max_length", "max_new_tokens", "use_cache", "disable_compile", "transformers_version"),
        *("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
    }
)
"""What changes no greedy answer with a length of its own, or is obeyed (end tokens)."""
_PROMPTS = (17, 4, 2)
"""Tokens of the trial's prompts. The longest is rounded up: a model that counts padding as positions must not pass."""
_STEPS = 7
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 0.05
"""Share of the largest logit, in fp32 and in what else answers are written in."""
_UNFIT = (AttributeError, CaptureError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model's own code raises where it was not made for this."""

_TRIED: WeakKeyDictionary[nn.Module, dict[ScoringPrecision, str]] = WeakKeyDictionary()
"""Model and precision -> why it keeps to transformers' `generate`; "" if it does not."""
_TOLD: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
"""Model -> what the log said last."""


def takes_static_cache(model: CausalLm) -> bool:
    """Whether `answers_in_place` gives the model's answers; the log says so once."""
    lm = model.head.lm
    tried, precision = _TRIED.setdefault(lm, {}), current_precision()
    if precision not in tried:
        tried[precision] = _found_by_trial(model)
    rules = _rules(lm)
    reason = f"its generation_config.json sets {', '.join(rules)}" if rules else tried[precision]
    _tell(lm, f"by transformers' generate: {reason}" if reason else "with a cache of fixed size")
    return not reason


def keep_to_generate(model: CausalLm, reason: object) -> None:
    """From now on the model answers by transformers' `generate`."""
    _TRIED.setdefault(model.head.lm, {})[current_precision()] = str(reason)
    _tell(model.head.lm, f"by transformers' generate: {reason}")


def _tell(lm: nn.Module, way: str) -> None:
    if _TOLD.get(lm) != way:
        _TOLD[lm] = way
        logger.info("%s writes its answers %s", type(lm).__name__, way)


def _rules(lm: nn.Module) -> list[str]:
    """Rules of the model's generation_config.json that only transformers' `generate` follows."""
    configured = getattr(lm, "generation_config", None)
    return sorted(
        name
        for name, value in (vars(configured) if configured is not None else {}).items()
        if value and value != LOOKING_BACK.get(name) and name not in _NO_RULES and not name.startswith("_")
    )


def _found_by_trial(model: CausalLm) -> str:
    from transformers import GenerationMixin

    if model.switch is not None:
        return "its rotary positions change with the longest of a batch"
    if model.max_length < max(_PROMPTS) + _STEPS:
        return f"it takes only {model.max_length} tokens"
    if getattr(type(model.head.lm), "generate", None) is not GenerationMixin.generate:
        return "it has a generate of its own"
    try:
        with exactly(model.device):
            distance, most = _largest_distance(model, _TOLERANCE), _TOLERANCE
        if distance <= most and current_precision() != FULL:
            distance, most = _largest_distance(model, _HALF_TOLERANCE), _HALF_TOLERANCE
    except torch.OutOfMemoryError:
        raise
    except _UNFIT as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "" if distance <= most else f"its logits differ by {distance:.2g} of the largest"


@torch.inference_mode()
def _largest_distance(model: CausalLm, enough: float) -> float:
    """Between both ways' logits, as a share of the largest, up to the first beyond `enough`.

    Goes through what a batch goes through: columns and rows of a rounded batch, and rows that leave.
    """
    lm: Any = model.head.lm
    prompts = [(np.arange(5, 5 + 3 * count, 3) % model.num_embedded).astype(np.int32) for count in _PROMPTS]
    tokens, seen = prompt_rows(prompts, filler=model.pad_token)
    made = lm.generate(
        input_ids=tokens.to(model.device),
        attention_mask=seen.to(model.device),
        max_new_tokens=_STEPS,
        min_new_tokens=_STEPS,
        do_sample=False,
        use_cache=True,
        pad_token_id=model.pad_token,
        output_logits=True,
        return_dict_in_generate=True,
    )
    decoding = Decoding(lm, prompts, filler=model.pad_token, most=_STEPS, device=model.device)
    step, kept = repeated(decoding.step, model.device), list(range(len(prompts)))
    expected: Float[Tensor, "r v"]
    worst = 0.0
    for number, expected in enumerate(made.logits):
        wanted = expected[kept].float()
        away = (decoding.logits[: len(kept)] - wanted).abs().max() / wanted.abs().max()
        if not float(away) <= enough:
            return float(away)
        worst = max(worst, float(away))
        if number + 1 == len(made.logits):
            break
        decoding.tokens[: len(kept)] = made.sequences[kept, tokens.shape[1] + number, None]
        if number + 1 == _STEPS - 1:
            kept = [0, 2]
            decoding.keep(kept)
            step = repeated(decoding.step, model.device)
        step()
    return worst
