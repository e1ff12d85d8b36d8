"""Conversations become the tokens that `apply_chat_template` makes of them, and the assistant's turns are learnt."""

import json
from itertools import pairwise

import pytest
from chat_templates import TEMPLATES, chat_tokenizer

from rayforget.space.text import ChatTask, JsonLinesSource, Sequences
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.training import training_set

SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = [
    {"role": "user", "content": "Is it red?\n"},
    {"role": "assistant", "content": "It is blue."},
    {"role": "user", "content": "And\nnow?"},
    {"role": "assistant", "content": "Now it is\n\ngreen, été."},
]
SHARE_GPT = [{"from": {"user": "human", "assistant": "gpt"}[m["role"]], "value": m["content"]} for m in TURNS]
ENDS = {"llama_3": "<|eot_id|>", "gemma": "<end_of_turn>", "mistral": "</s>"}


def rows_file(folder, name, rows):
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return JsonLinesSource(kind="jsonl", path=path)


def resolved(task):
    return resolve_text_tasks({"t": task})["t"]


def learnt_of(task, tok, folder, **others):
    made = training_set(
        {"t": task},
        tok,
        Sequences(),
        **{"max_length": 512, "eos": 1, "prefix_token": 0, "cache": folder / "cache"} | others,
    )
    spans = zip(pairwise(made.starts.tolist()), made.first_targets.tolist(), strict=True)
    return [(made.tokens[a:b].tolist(), first) for (a, b), first in spans]


def asked_of(task, tok, folder, split="val"):
    found = task_requests(task, split, tok, max_length=512, prefix_token=0, cache=folder / "cache")
    spans = zip(pairwise(found.pairs.starts.tolist()), found.pairs.continuations.tolist(), strict=True)
    return [(found.pairs.tokens[a:b].tolist(), first) for (a, b), first in spans]


def templated(tok, messages, **others):
    return tok.apply_chat_template(messages, tokenize=True, return_dict=False, **others)


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_turns_tokens_are_the_templates_and_only_the_turn_is_learnt(tmp_path, name, bos):
    tok = chat_tokenizer(name, bos=bos)
    conversations = [TURNS, TURNS if name == "gemma" else [SYSTEM, *TURNS]]
    rows = [{"messages": conversations[0]}, {"messages": conversations[1]}, {"conversations": SHARE_GPT}]
    task = resolved(ChatTask(kind="chat", role="speciality", train=rows_file(tmp_path, "train", rows)))
    found = learnt_of(task, tok, tmp_path)
    asked = [whole[:end] for whole in (*conversations, TURNS) for end in (len(whole) - 2, len(whole))]
    assert len(found) == len(asked) == 6
    for (tokens, first), messages in zip(found, asked, strict=True):
        whole = templated(tok, messages)
        assert whole[: len(tokens)] == tokens
        assert not tok.decode(whole[len(tokens) :]).strip()  # a line break behind the last end mark is never written
        learnt = tok.decode(tokens[first:])
        said = messages[-1]["content"]
        thoughts = "<think>\n\n</think>\n\n" if name == "qwen" else " " if name == "mistral" else ""
        assert learnt == f"{thoughts}{said}{ENDS.get(name, '<|im_end|>')}"
        if name == "marked":
            encoded = tok.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
            mask = encoded["assistant_masks"][: len(tokens)]
            assert mask[first:] == [1] * (len(tokens) - first)
            assert first == max(index for index, one in enumerate(mask) if not one) + 1
        else:
            assert tokens[:first] == templated(tok, messages[:-1], add_generation_prompt=True)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_turn_is_scored_in_the_tokens_in_which_it_is_learnt(tmp_path, name):
    tok = chat_tokenizer(name)
    sources = {
        split: rows_file(tmp_path, split, [{"messages": [{"role": "user", "content": split}, *TURNS[1:]]}])
        for split in ("val", "test")
    }
    task = resolved(
        ChatTask(
            kind="chat",
            role="speciality",
            train=sources["val"],
            **{**sources, "val": sources["test"]} | {"test": rows_file(tmp_path, "other", [{"messages": TURNS}])},
        )
    )
    scored = asked_of(task, tok, tmp_path)
    same = resolved(ChatTask(kind="chat", role="speciality", train=sources["test"]))
    learnt = learnt_of(same, tok, tmp_path)
    assert len(scored) == len(learnt) == 2
    for (asked, first), (tokens, begin) in zip(scored, learnt, strict=True):
        assert first == begin
        assert asked == tokens[:-1]  # all but the end mark
