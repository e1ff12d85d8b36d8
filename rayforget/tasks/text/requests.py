"""A task's split -> all that a model is asked on it, as token ids, and the judge of its answers."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.metrics.bits_per_byte import TOKENS
from rayforget.space.paths import is_yaml
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.asking import HowAsked, how_asked, instances
from rayforget.tasks.text.chat import chat_of
from rayforget.tasks.text.delimiters import delimiter_of, identity_of
from rayforget.tasks.text.documents import Document, documents_hash
from rayforget.tasks.text.encode import (
    TokenPair,
    after_prefix,
    encode_pairs,
    encode_texts,
    joined,
    tokenizer_identity,
)
from rayforget.tasks.text.joined import joined_requests
from rayforget.tasks.text.judge import Judge
from rayforget.tasks.text.lm_eval_made import hushed
from rayforget.tasks.text.lm_eval_task import FEWSHOT_SEED
from rayforget.tasks.text.marks import marks_before
from rayforget.tasks.text.metrics import LIKELIHOOD, corpus_metric_of, metric_of
from rayforget.tasks.text.own_task import own_lm_eval_task
from rayforget.tasks.text.own_yaml import own_identity
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.tasks.text.token_files import Tokenised, tokenised
from rayforget.tasks.text.turns import written_out
from rayforget.tasks.text.types import Generations, Pairs, TaskRequests
from rayforget.values.scores import BITS_PER_BYTE, CUT_ITEMS, Split

logger = logging.getLogger(__name__)

_MAX_NEW_TOKENS = 256
"""For tasks that give no limit; lm-eval's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    max_length: int
    prefix_token: int


def task_requests(
    task: ResolvedText, split: Split, tokenizer: Any, *, max_length: int, prefix_token: int, cache: Path
) -> TaskRequests:
    """The requests that lm-eval's `HFLM` would make, token by token.

    A request too long for the model loses the beginning of its context, as in `HFLM`. A continuation that is too long
    by itself (where `HFLM` fails an assertion) is asked in windows, like rolling requests, so that nothing of it is
    lost. Items that lost some of their context are counted.

    Args:
        task: the resolved task.
        split: the split to ask about.
        tokenizer: a tokenizer of transformers.
        max_length: most tokens that the model reads at once; a pair has one more, which is only predicted.
        prefix_token: stands before a text without context: the beginning mark, else the end mark.
        cache: a folder on this node.

    Raises:
        TaskError: the message starts with the key in the space file.
    """
    if task.members:
        own = [member for name in task.members if (member := task.member(name, split)) is not None]
        ask = partial(
            task_requests,
            split=split,
            tokenizer=tokenizer,
            max_length=max_length,
            prefix_token=prefix_token,
            cache=cache,
        )
        return joined_requests([ask(member) for member in own], by_size=task.by_size)
    key, documents, broken = task.splits[split].key, task.splits[split].documents, task.splits[split].broken
    with at_key(key):
        chat = chat_of(task.task, tokenizer)
        parts = [
            task.task.kind,
            *_identity(task),
            *filter(None, [documents[0].part]),
            *([] if chat is None else [f"chat {chat.identity}"]),
        ]
        asked = documents
        if chat is not None and task.lm_eval is None:
            taken = written_out(chat, task.splits[split])
            documents, asked, broken = taken.documents, taken.written, taken.broken
        items_hash = documents_hash(documents, *parts)
        judged = task.lm_eval
        if judged is None:
            assert not isinstance(task.task, LmEvalTask)
            judged = own_lm_eval_task(task.name, task.task, asked[0])
        how = how_asked(task.task, chat)
        limits = _Limits(max_length=max_length, prefix_token=prefix_token)
        stored = tokenised(
            cache,
            ["requests", items_hash, _examples(judged), tokenizer_identity(tokenizer), max_length, prefix_token],
            lambda: _tokenise(judged, asked, tokenizer, limits, how),
            what=key,
        )
        arrays, metric = stored.arrays, metric_of(task.task)
        corpus = corpus_metric_of(judged, metric)
        judge = Judge(
            judged,
            asked,
            metric,
            request_starts=arrays["request_starts"],
            pair_starts=arrays["pair_starts"],
            delimiter=delimiter_of(task.task),
        )
        pairs = Pairs(tokens=arrays["tokens"], starts=arrays["starts"], continuations=arrays["continuations"])
        facts = {CUT_ITEMS: int(stored.facts["cut_items"])}
        if metric == LIKELIHOOD:
            facts[TOKENS] = judge.num_tokens((np.diff(pairs.starts) - pairs.continuations).astype(np.int64))
    prompts = [arrays["prompts"][a:b] for a, b in pairwise(arrays["prompt_starts"])]
    return TaskRequests(
        rule=BITS_PER_BYTE if metric == LIKELIHOOD else metric if corpus is None else corpus.rule,
        pairs=pairs,
        generations=Generations(
            prompts=prompts,
            until=[tuple(texts) for texts in stored.facts["until"]],
            max_new_tokens=stored.facts["max_new_tokens"],
        ),
        num_items=len(documents),
        items_hash=items_hash,
        judge=judge,
        right_pairs=judge.right_pairs,
        broken=broken,
        facts=facts,
    )


def _identity(task: ResolvedText) -> list[str]:
    """What decides requests besides documents: a delimiter that is not a space; an lm-eval task's name and version."""
    if not isinstance(task.task, LmEvalTask):
        return identity_of(task.task)
    from lm_eval import __version__

    declared = task.task
    known = own_identity(Path(declared.task)) if is_yaml(declared.task) else declared.task
    shots = [] if declared.num_fewshot is None else [f"num_fewshot {declared.num_fewshot}"]
    turns = [] if declared.fewshot_as_multiturn else ["all in one message"]
    return [known, f"lm-eval {__version__}", *shots, *turns]


def _examples(judged: Any) -> str:
    """Hash of the documents that a prompt's examples are drawn from; empty if there are none."""
    if not (judged.config.num_fewshot or 0):
        return ""
    with hushed():
        documents = [Document(values=values, content=b"", name="") for values in judged.fewshot_docs()]
    return documents_hash(documents)


def _tokenise(judged: Any, documents: Sequence[Document], tokenizer: Any, limits: _Limits, how: HowAsked) -> Tokenised:
    judged.set_fewshot_seed(seed=FEWSHOT_SEED)  # examples are drawn in the documents' order
    asked = [instances(judged, index, document, how) for index, document in enumerate(documents)]
    requests = list(chain.from_iterable(asked))
    kind = _kind(judged, requests)
    arguments = [request.args for request in requests]
    prompts: list[list[int]] = []
    facts: dict[str, Any] = {"until": [], "max_new_tokens": []}
    pairs: list[list[TokenPair]] = []
    is_cut = [False] * len(requests)
    if kind == "generate_until":
        prompts, is_cut, facts = _prompts(arguments, tokenizer, limits)
    elif kind == "loglikelihood_rolling":
        texts = encode_texts(tokenizer, [text for (text,) in arguments], prefix_token=limits.prefix_token)
        if how.is_own:
            marks = marks_before(tokenizer)
            pairs = [after_marks(text, marks, limits.prefix_token, limits.max_length) for text in texts]
        else:
            pairs = [list(windows(text, limits.prefix_token, limits.max_length)) for text in texts]
    else:
        encoded = encode_pairs(tokenizer, arguments, prefix_token=limits.prefix_token, **how.pairs)
        pairs = [fitted(context, continuation, limits.max_length) for context, continuation in encoded]
        is_cut = [len(context) + len(continuation) > limits.max_length + 1 for context, continuation in encoded]
    names = [document.name for document, own in zip(documents, asked, strict=True) for _ in own]
    for name, own_pairs in zip(names if pairs else (), pairs, strict=True):
        if not own_pairs or not all(context and continuation for context, continuation in own_pairs):
            raise TaskError(f"{name}: a continuation without tokens cannot be scored; take this item out")
    request_starts = _starts(map(len, asked))
    facts["cut_items"] = sum(any(is_cut[a:b]) for a, b in pairwise(request_starts.tolist()))
    flat = list(chain.from_iterable(pairs))
    tokens, starts = joined([*context, *continuation] for context, continuation in flat)
    prompt_tokens, prompt_starts = joined(prompts)
    arrays: dict[str, NDArray[Any]] = {
        "tokens": tokens,
        "starts": starts,
        "continuations": np.array([len(context) for context, _ in flat], dtype=np.int32),
        "pair_starts": _starts(map(len, pairs)),
        "request_starts": request_starts,
        "prompts": prompt_tokens,
        "prompt_starts": prompt_starts,
    }
    return Tokenised(arrays=arrays, facts=facts)


def _kind(judged: Any, requests: Sequence[Any]) -> str:
    """How the task asks; a class of a user's own may ask otherwise than it says."""
    kind = "loglikelihood" if judged.OUTPUT_TYPE == "multiple_choice" else str(judged.OUTPUT_TYPE)
    if others := sorted({str(request.request_type) for request in requests} - {kind}):
        raise TaskError(
            f"lm-eval's task {judged.config.task} asks by {', '.join(others)}, and its output_type is "
            f"{judged.OUTPUT_TYPE}; only tasks that ask in one way, and say in which, are supported"
        )
    return kind


def _prompts(
    arguments: Sequence[tuple[str, dict[str, Any]]], tokenizer: Any, limits: _Limits
) -> tuple[list[list[int]], list[bool], dict[str, Any]]:
    """Prompts cut to leave room for the answer, which of them were cut, where answers end, and how long they may be."""
    from lm_eval.models.utils import normalize_gen_kwargs

    settings = [normalize_gen_kwargs(kwargs, _MAX_NEW_TOKENS) for _, kwargs in arguments]
    until = [kwargs.get("until") or [] for kwargs in settings]
    facts: dict[str, Any] = {
        "until": [[texts] if isinstance(texts, str) else list(texts) for texts in until],
        "max_new_tokens": [int(kwargs["max_gen_toks"]) for kwargs in settings],
    }
    longest = max(facts["max_new_tokens"])
    if longest >= limits.max_length:
        raise TaskError(
            f"the task asks for answers of {longest} tokens, prompt and answer together have {limits.max_length}; "
            "raise foundation.sequences.scored_length where it is set, or take a model with more positions"
        )
    prompts = encode_texts(tokenizer, [context for context, _ in arguments], prefix_token=limits.prefix_token)
    rooms = [limits.max_length - length for length in facts["max_new_tokens"]]
    is_cut = [len(prompt) > room for prompt, room in zip(prompts, rooms, strict=True)]
    return [prompt[-room:] for prompt, room in zip(prompts, rooms, strict=True)], is_cut, facts


def fitted(context: list[int], continuation: list[int], max_length: int) -> list[TokenPair]:
    """The pair with the beginning of its context cut off, so that max_length tokens are read and one more predicted."""
    if len(continuation) > max_length:
        return list(windows(continuation, context[-1], max_length))
    return [(context[-(max_length + 1 - len(continuation)) :], continuation)]


def after_marks(tokens: list[int], marks: list[int], prefix_token: int, max_length: int) -> list[TokenPair]:
    """Windows in which a text's beginning mark is context and never asked for.

    lm-eval puts `prefix_token` before a mark that is already there, and asks for p(mark | mark);
    its own tasks keep its way, so that their scores are lm-eval's.
    """
    context, rest = after_prefix(tokens, prefix_token)
    if marks and tokens[: len(marks)] == marks:
        context, rest = marks, tokens[len(marks) :]
    found = list(windows(rest, context[-1], max_length))
    return [(context[-(max_length + 1 - len(predicted)) :], predicted) for _, predicted in found[:1]] + found[1:]


def windows(tokens: list[int], prefix_token: int, max_length: int) -> Iterator[TokenPair]:
    """lm-eval's rolling windows: each token is predicted once; the last window has the most context."""
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    for window in get_rolling_token_windows(
        token_list=tokens, prefix_token=prefix_token, max_seq_len=max_length, context_len=1
    ):
        yield make_disjoint_window(window)


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.array([0, *accumulate(lengths)], dtype=np.int64)
