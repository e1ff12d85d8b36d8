"""Conversations become the tokens that `apply_chat_template` makes of them, and the assistant's turns are learnt."""

import json
from itertools import pairwise

import pytest
from chat_templates import TEMPLATES, chat_tokenizer

from rayforget.errors import TaskError
from rayforget.space.tasks.text import (
    ChatTask,
    InstructionTask,
    JsonLinesSource,
    MultipleChoiceTask,
    Sequences,
    TextCut,
)
from rayforget.tasks.text.own_task import own_lm_eval_task
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
ENDS = {
    "llama_3": "<|eot_id|>",
    "gemma": "<end_of_turn>",
    "mistral": "</s>",
    "phi_3": "<|end|>\n</s>",
    "llama_2": " </s>",
    "deepseek": "</s>",
    "command_r": "<|END_OF_TURN_TOKEN|>",
}
"""What is learnt behind the turn's text; ChatML's for all others."""
BEFORE = {"qwen": "<think>\n\n</think>\n\n", "mistral": " ", "llama_2": " "}
"""What is learnt before it."""


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
        assert learnt == f"{BEFORE.get(name, '')}{said}{ENDS.get(name, '<|im_end|>')}"
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
    num_end = len(tok.encode(ENDS.get(name, "<|im_end|>"), add_special_tokens=False))
    for (asked, first), (tokens, begin) in zip(scored, learnt, strict=True):
        assert first == begin
        assert asked == tokens[:-num_end]


def test_a_conversation_may_be_told_in_many_ways(tmp_path):
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "blue."}]
    learnt_once = [TURNS[0], {**TURNS[1], "weight": 0}, TURNS[2], {**TURNS[3], "weight": 1, "refusal": None}]
    rows = [
        {"messages": [TURNS[0], {"role": "assistant", "content": parts}]},
        {"messages": json.dumps(TURNS[:2])},
        {"conversations": SHARE_GPT[:2], "system": "Be kind."},
        {"messages": learnt_once},
        {"messages": [TURNS[0], {**TURNS[1], "train": False}, TURNS[2], {**TURNS[3], "training": True}]},
        {"conversations": [{"from": "Human", "content": "Is it red?\n"}, {"from": "GPT", "value": "It is blue."}]},
        {"messages": [{"role": "user", "value": "Is it red?\n"}, TURNS[1]]},
    ]
    tok = chat_tokenizer("chatml")
    task = resolved(ChatTask(kind="chat", role="speciality", train=rows_file(tmp_path, "train", rows)))
    found = [tokens for tokens, _ in learnt_of(task, tok, tmp_path)]
    asked = [TURNS[:2], TURNS[:2], [SYSTEM, *TURNS[:2]], TURNS, TURNS, TURNS[:2], TURNS[:2]]
    assert found == [templated(tok, messages)[:-1] for messages in asked]


def test_tools_are_text_that_the_template_writes(tmp_path):
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    calls = [{"type": "function", "function": {"name": "look", "arguments": {"at": "sky"}}}]
    messages = [
        TURNS[0],
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "blue"},
        TURNS[1],
    ]
    source = rows_file(tmp_path, "train", [{"messages": messages, "tools": tools}])
    task = resolved(ChatTask(kind="chat", role="speciality", train=source))
    tok = chat_tokenizer("qwen")
    found = learnt_of(task, tok, tmp_path)
    wholes = [templated(tok, messages[:end], tools=tools) for end in (2, 4)]
    assert [tokens for tokens, _ in found] == [whole[:-1] for whole in wholes]
    assert '<tool_call>{"name": "look"' in tok.decode(found[0][0][found[0][1] :])
    with pytest.raises(TaskError, match=r"message 1: the chat template does not write tools"):
        learnt_of(task, chat_tokenizer("llama_3"), tmp_path)


def test_earlier_thoughts_are_left_out_as_the_template_does_and_the_last_are_learnt(tmp_path):
    thought = [*TURNS[:1], {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nBlue."}, *TURNS[2:]]
    source = rows_file(tmp_path, "train", [{"messages": thought}])
    tok = chat_tokenizer("qwen")
    task = resolved(ChatTask(kind="chat", role="speciality", train=source))
    first, second = (tok.decode(tokens) for tokens, _ in learnt_of(task, tok, tmp_path))
    assert first.endswith("<think>\nHm.\n</think>\n\nBlue.<|im_end|>")
    assert "Hm." not in second


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": TURNS[1:]}, "begins with the assistant; expected a message of the user before it"),
        ({"messages": TURNS[:1]}, "no message of the assistant that could be learnt"),
        ({"messages": "hello"}, "expected `messages`, a list of messages, found 'hello'"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "message 0: expected `role`, one of system, .* 'robot'"),
        ({"conversations": [{"from": "alien", "value": "a"}]}, "message 0: expected `from`, one of human, .* 'alien'"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": " "}]}, "message 1, the assistant's, has no text"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "message 0: `content`: expected a text, found"),
        ({"messages": [{**TURNS[0], "weight": 2}, TURNS[1]]}, "message 0: expected `weight`, 0 or 1, found 2"),
        ({"chat": TURNS}, "expected `messages` .* found chat; name the column under `fields: {messages: COLUMN}`"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "`content`: expected text, found half a char"),
        ({"messages": ["hello"]}, "message 0: expected an object with role and content"),
        ({"messages": TURNS, "tools": "a hammer"}, "expected `tools`, a list of objects"),
    ],
)
def test_rows_that_are_no_conversation_are_told_and_may_be_skipped(tmp_path, row, said):
    source = rows_file(tmp_path, "train", [row, {"messages": TURNS}])
    with pytest.raises(TaskError, match=rf"^tasks.t.train: .*train.jsonl:1: .*{said}|train.jsonl:1, .*{said}"):
        resolved(ChatTask(kind="chat", role="speciality", train=source))
    task = resolved(ChatTask(kind="chat", role="speciality", train=source.model_copy(update={"max_broken": 1})))
    assert len(task.splits["train"].documents) == 2
    assert len(task.splits["train"].broken) == 1


@pytest.mark.parametrize(
    ("template", "messages", "said"),
    [
        ("gemma", [SYSTEM, *TURNS], r"jsonl:1, message 2: .*refuses this conversation \(System role not supported\)"),
        ("mistral", [TURNS[0], TURNS[0], TURNS[1]], r"message 2: .*refuses this conversation \(roles must alternate\)"),
        (
            "mistral",
            [TURNS[0], {"role": "assistant", "content": "It is.</s>\n"}],
            "message 1: the assistant's turn ends with '</s>', which the chat template writes too",
        ),
        (None, TURNS, r"^tasks.t: the tokenizer has no chat template"),
        (
            "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
            TURNS,
            "message 1: the chat template leaves out a part of the assistant's turn",
        ),
        (
            "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}",
            [SYSTEM, *TURNS],
            r"message 2: the chat template leaves out message 0, of role system \('Be kind.'\)",
        ),
        (
            "{% for m in messages %}{{ m.content + '|' }}{% endfor %}{{ '>' if add_generation_prompt else '' }}",
            TURNS,
            r"asks for an answer with 'Is it red\?\\n\|>' and writes the answered conversation otherwise",
        ),
    ],
)
def test_what_a_template_cannot_do_is_told_with_the_reason(tmp_path, template, messages, said):
    tok = chat_tokenizer("chatml")
    tok = type(tok)(tokenizer_object=tok.backend_tokenizer, bos_token="<s>", eos_token="</s>")
    tok.chat_template = TEMPLATES.get(template, template)
    source = rows_file(tmp_path, "train", [{"messages": messages}])
    task = resolved(ChatTask(kind="chat", role="speciality", train=source))
    with pytest.raises(TaskError, match=said):
        learnt_of(task, tok, tmp_path)


def test_a_cut_does_not_part_the_turns_of_a_conversation(tmp_path):
    rows = [{"messages": [{"role": "user", "content": f"{n}?"}, *TURNS[1:]]} for n in range(20)]
    cut = TextCut(source=rows_file(tmp_path, "all", rows))
    task = resolved(ChatTask(kind="chat", role="generality", group="g", cut=cut))
    halves = [{document.name.split(",")[0] for document in task.splits[side].documents} for side in ("val", "test")]
    assert not halves[0] & halves[1]
    assert len(halves[0] | halves[1]) == 20
    assert sum(len(task.splits[side].documents) for side in ("val", "test")) == 40


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_instruction_with_the_template_is_a_conversation_of_one_turn(tmp_path, name):
    rows = {split: [{"instruction": f"Say {split}.", "output": "It is so."}] for split in ("train", "val", "test")}
    sources = {split: rows_file(tmp_path, split, own) for split, own in rows.items()}
    task = InstructionTask(
        kind="instruction", role="speciality", prompt="{instruction}\n{input}", chat_template=True, **sources
    )
    tok = chat_tokenizer(name)
    ((tokens, first),) = learnt_of(resolved(task), tok, tmp_path)
    turns = [{"role": "user", "content": "Say train."}, {"role": "assistant", "content": "It is so."}]
    whole = templated(tok, turns)
    assert whole[: len(tokens)] == tokens
    assert not tok.decode(whole[len(tokens) :]).strip()
    ((asked, begin),) = asked_of(resolved(task), tok, tmp_path)
    assert tok.decode(asked[begin:]) == tok.decode(tokens[first:]).removesuffix(ENDS.get(name, "<|im_end|>"))
    assert tok.decode(asked[:begin]) == tok.decode(tokens[:first]).replace("train", "val")


@pytest.mark.parametrize("name", ["chatml", "gemma", "llama_3"])
def test_choices_with_the_template_are_asked_for_as_lm_eval_does(tmp_path, name):
    """In lm-eval's own loop: its HFLM over a task of the same prompts."""
    from lm_eval_peer import NotingHFLM, tiny_opt

    rows = [{"question": f"Which {n}?", "choices": ["a cat", "dogs", "été"], "answer": n % 3} for n in range(4)]
    sources = {"val": rows_file(tmp_path, "val", rows[:3]), "test": rows_file(tmp_path, "test", rows[3:])}
    plain = MultipleChoiceTask(kind="multiple_choice", role="generality", group="g", **sources)
    tok = chat_tokenizer(name, bos=name != "chatml")  # HFLM adds a beginning mark that ChatML does not write
    documents = resolved(plain).splits["val"].documents
    judged = own_lm_eval_task("t", plain, documents[0])
    peer = NotingHFLM(tiny_opt(len(tok), positions=512), tok, 512)
    how = {"apply_chat_template": True, "chat_template": peer.apply_chat_template}
    instances = []
    for index, document in enumerate(documents):
        context = judged.fewshot_context(document.values, num_fewshot=0, fewshot_as_multiturn=True, **how)
        instances += judged.construct_requests(document.values, context, metadata=("t", index, 1), **how)
    peer.loglikelihood(instances, disable_tqdm=True)
    task = resolved(plain.model_copy(update={"chat_template": True}))
    assert asked_of(task, tok, tmp_path) == peer.noted


def test_the_templates_settings_and_the_template_are_part_of_what_was_learnt(tmp_path):
    source = rows_file(tmp_path, "train", [{"messages": TURNS}])
    tok = chat_tokenizer("chatml")
    tok = type(tok)(tokenizer_object=tok.backend_tokenizer, bos_token="<s>", eos_token="</s>")
    tok.chat_template = "{{ day }}" + TEMPLATES["chatml"]
    found = [
        tok.decode(learnt_of(resolved(task), tok, tmp_path)[0][0])
        for task in (
            ChatTask(kind="chat", role="speciality", train=source, chat_settings={"day": "Monday"}),
            ChatTask(kind="chat", role="speciality", train=source, chat_settings={"day": "Tuesday"}),
        )
    ]
    assert [text.split("<|im_start|>")[0] for text in found] == ["Monday", "Tuesday"]


@pytest.mark.slow
def test_real_instructions_as_conversations_have_the_templates_tokens(shared, tmp_path):
    from transformers import AutoTokenizer

    tok = AutoTokenizer.from_pretrained(shared / "data" / "opt_real")
    tok.chat_template = TEMPLATES["chatml"]
    lines = (shared / "data" / "text" / "medical_instructions" / "train.jsonl").read_text().splitlines()[:300]
    asked = [
        [
            {"role": "user", "content": f"{row['instruction']}\n{row['input']}"},
            {"role": "assistant", "content": row["output"]},
        ]
        for row in map(json.loads, lines)
    ]
    source = rows_file(tmp_path, "train", [{"messages": messages} for messages in asked])
    task = resolved(ChatTask(kind="chat", role="speciality", train=source))
    found = learnt_of(task, tok, tmp_path, max_length=100_000)
    assert len(found) == len(asked)
    for (tokens, first), messages in zip(found, asked, strict=True):
        assert tokens == templated(tok, messages)[: len(tokens)]
        assert tokens[:first] == templated(tok, messages[:1], add_generation_prompt=True)[:first]
        assert tok.decode(tokens[first:]).lstrip("\n") == messages[1]["content"] + "<|im_end|>\n"
