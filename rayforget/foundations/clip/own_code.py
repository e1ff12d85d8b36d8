"""What a CLIP folder or hub model asks to run -> refused, unless the space trusts it.

open_clip hands `text_cfg.tokenizer_kwargs` of a model's configuration to transformers, which runs the model's own
Python if they say so; without them it asks whoever sits at the terminal.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rayforget.errors import FoundationError

_KEY = "trust_remote_code"


def refuse_own_code(model: str, model_cfg: Any, *, trusted: bool) -> None:
    """Refuses a configuration that asks for trust anywhere.

    Args:
        model: the model's name, for the message.
        model_cfg: the configuration, as it was read.
        trusted: the space's `foundation.trust_remote_code`.

    Raises:
        FoundationError: it does, and the space does not trust it.
    """
    places = [] if trusted else list(_asking(model_cfg, "model_cfg"))
    if places:
        raise FoundationError(
            f"foundation.model {model}: its open_clip_config.json asks to run code of its own ({places[0]}); read that "
            f"code, then set foundation.{_KEY}: true, or take the key out"
        )


@contextmanager
def nobody_asked(*, trusted: bool) -> Iterator[None]:
    """Within it, transformers refuses a model's own code instead of asking at the terminal."""
    try:
        from transformers import dynamic_module_utils
    except ImportError:  # without transformers no such code can run
        yield
        return
    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = before if trusted else 0
    try:
        yield
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before


def _asking(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == _KEY and inner not in (False, None):
                yield f"{place}.{key}: {inner!r}"
            yield from _asking(inner, f"{place}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, inner in enumerate(value):
            yield from _asking(inner, f"{place}.{number}")
