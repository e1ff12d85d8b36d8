"""A tokenizer -> the marks that it puts before a text; those that it puts behind one are never taken."""

from typing import Any

from rayforget.errors import TaskError

_PROBE = "a"


def marks_before(tokenizer: Any) -> list[int]:
    """Token ids that the tokenizer adds before a text: a beginning mark, or none.

    What it adds behind a text (an end mark, with `add_eos_token`) would stand between a prompt and its answer; what
    ends an answer is added where an answer ends.

    Raises:
        TaskError: with its marks the tokenizer gives a text other tokens of its own.
    """
    bare, whole = (
        list(tokenizer(_PROBE, add_special_tokens=special, verbose=False)["input_ids"]) for special in (False, True)
    )
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start]
    raise TaskError(
        f"the tokenizer makes {bare} of {_PROBE!r}, and {whole} with its marks; expected the same tokens between them: "
        "correct post_processor in tokenizer.json"
    )
