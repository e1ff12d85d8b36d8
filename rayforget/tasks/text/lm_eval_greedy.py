"""What one of lm-eval's tasks asks for -> a refusal where greedy answers to texts are not what lm-eval would get."""

from collections.abc import Mapping
from typing import Any

from rayforget.errors import TaskError

_LENGTHS = frozenset({"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"})
_OBEYED = _LENGTHS | {"until", "do_sample", "temperature"}
_WITHOUT_DRAWS = frozenset({"top_k", "top_p", "min_p", "typical_p"})
"""Settings of draws, which a greedy answer does not make."""


def require_greedy(name: str, config: Mapping[str, Any]) -> None:
    """Refuses what greedy answers to texts cannot give.

    Args:
        name: the task's.
        config: its configuration as lm-eval has it.

    Raises:
        TaskError: it draws its answers, searches them by other rules, or shows more than texts.
    """
    writes = config.get("output_type", "generate_until") == "generate_until"
    given: Mapping[str, Any] = (config.get("generation_kwargs") if writes else None) or {}
    if _draws(given):
        raise TaskError(f"lm-eval's task {name} draws its answers at random; only greedy answers are supported")
    others = [key for key in given if key not in _OBEYED | _WITHOUT_DRAWS and not _changes_nothing(key, given[key])]
    if others:
        listed = ", ".join(f"{key}: {given[key]!r}" for key in others)
        raise TaskError(
            f"lm-eval's task {name} asks for answers by other rules (generation_kwargs: {listed}); only plain greedy "
            f"answers are supported, with {', '.join(sorted(_OBEYED))}"
        )
    if config.get("doc_to_image") or config.get("doc_to_audio"):
        raise TaskError(f"lm-eval's task {name} shows images or plays sounds; only texts are supported")


def _draws(given: Mapping[str, Any]) -> bool:
    """Whether lm-eval would draw: `do_sample` decides, and without it a temperature above 0."""
    if given.get("do_sample") is None:
        return float(given.get("temperature") or 0) > 0
    return given["do_sample"] is not False


def _changes_nothing(key: str, value: Any) -> bool:
    return value is None or (key in ("num_beams", "repetition_penalty") and value == 1)
