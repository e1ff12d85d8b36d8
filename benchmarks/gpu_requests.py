"""Questions of a task -> the requests that a scorer takes, without lm-eval, which a bare machine does not have."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import rayforget.foundations.causal_lm.prepared as prepared
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.tasks.text.types import Generations, ItemResults, PairResults, Pairs, TaskRequests
from rayforget.values.scores import Split


def ask_without_lm_eval() -> None:
    """Makes foundations of this process ask by `requests_of`; the pairs are those that lm-eval would make."""
    setattr(prepared, "task_requests", requests_of)  # noqa: B010 (no name that the module exports)


def requests_of(task: ResolvedText, split: Split, tokenizer: Any, **_: Any) -> TaskRequests:
    """Every choice after its question; the likeliest one is right or not."""
    tokens: list[int] = []
    starts, continuations, answers = [0], list[int](), list[int]()
    documents = task.splits[split].documents
    for document in documents:
        context, *choices = (
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (document.values["prompt"], *document.values["choices"])
        )
        for choice in choices:
            tokens += [*context, *choice]
            starts.append(len(tokens))
            continuations.append(len(context))
        answers.append(int(document.values["answer"]))

    def judge(results: PairResults, texts: Sequence[str]) -> ItemResults:
        found = results.log_likelihoods.reshape(len(documents), -1).argmax(axis=1)
        return found == np.array(answers), None

    return TaskRequests(
        rule="acc",
        pairs=Pairs(
            tokens=np.array(tokens, dtype=np.int32),
            starts=np.array(starts, dtype=np.int64),
            continuations=np.array(continuations, dtype=np.int32),
        ),
        generations=Generations(prompts=(), until=(), max_new_tokens=()),
        num_items=len(documents),
        items_hash=f"{task.name} {split} {len(tokens)}",
        judge=judge,
    )
