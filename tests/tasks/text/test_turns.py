"""A conversation that a chat template refuses is a row that cannot be used, in training and in scoring."""

import copy
import json
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chat_templates import CHATML, chat_tokenizer

from rayforget.errors import TaskError
from rayforget.space.tasks.text import ChatTask, InstructionTask, JsonLinesSource, Sequences
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.tasks.text.training import training_set
from rayforget.tasks.text.types import TaskRequests, TrainingSet

ALTERNATE = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + CHATML
)


def _row(*roles: str, at: int) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"{role} says {at}.{turn}"} for turn, role in enumerate(roles)]}


GOOD = [_row("user", "assistant", "user", "assistant", at=at) for at in range(3)]
LATE = _row("user", "assistant", "assistant", at=7)
"""Its first turn alone would be taken."""
EARLY = _row("user", "user", "assistant", at=8)


def _source(folder: Path, name: str, rows: list[dict[str, Any]], max_broken: int) -> JsonLinesSource:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return JsonLinesSource(kind="jsonl", path=path, max_broken=max_broken)


def _task(folder: Path, rows: list[dict[str, Any]], max_broken: int) -> ResolvedText:
    sources = {name: _source(folder, f"{name}.jsonl", rows, max_broken) for name in ("train", "val")}
    others = _source(folder, "test.jsonl", GOOD[:1], 0)
    return resolve_text_tasks({"t": ChatTask(kind="chat", role="speciality", test=others, **sources)})["t"]


def _tokenizer() -> Any:
    tokenizer = copy.deepcopy(chat_tokenizer("chatml"))
    tokenizer.chat_template = ALTERNATE
    return tokenizer


def _learnt(task: ResolvedText, folder: Path) -> TrainingSet:
    how: dict[str, Any] = {"max_length": 512, "eos": 1, "prefix_token": 0, "cache": folder / "cache"}
    return training_set({"t": task}, _tokenizer(), Sequences(), **how)


def _asked(task: ResolvedText, folder: Path) -> TaskRequests:
    return task_requests(task, "val", _tokenizer(), max_length=512, prefix_token=0, cache=folder / "cache")


def _sequences(made: TrainingSet) -> list[list[int]]:
    return [made.tokens[a:b].tolist() for a, b in pairwise(made.starts.tolist())]


@pytest.mark.parametrize("rows", [[LATE, *GOOD], [GOOD[0], EARLY, LATE, *GOOD[1:]], [*GOOD, EARLY]])
def test_a_refused_conversation_is_skipped_whole_and_told_with_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: list[dict[str, Any]]
) -> None:
    bad = [at for at, row in enumerate(rows) if row not in GOOD]
    task, good = _task(tmp_path, rows, 2), _task(tmp_path / "good", GOOD, 0)
    with caplog.at_level(logging.WARNING):
        learnt, asked = _learnt(task, tmp_path), _asked(task, tmp_path)
    assert _sequences(learnt) == _sequences(_learnt(good, tmp_path))
    of_good = _asked(good, tmp_path)
    assert (asked.num_items, asked.items_hash) == (of_good.num_items, of_good.items_hash)
    assert asked.pairs.tokens.tolist() == of_good.pairs.tokens.tolist()
    why = "that the chat template refuses"
    assert learnt.broken == {"t": {why: [f"{tmp_path}/train.jsonl:{at + 1}" for at in bad]}}
    assert asked.broken == {why: [f"{tmp_path}/val.jsonl:{at + 1}" for at in bad]}
    assert f"tasks.t.train: rows skipped: {len(bad)} that the chat template refuses" in caplog.text
    assert "(roles must alternate)" in caplog.text
    assert _learnt(task, tmp_path).broken == learnt.broken  # found in the cache


@pytest.mark.parametrize(
    ("rows", "max_broken", "said"),
    [
        ([*GOOD, EARLY], 0, r":4, message 2: the chat template refuses this conversation \(roles must alternate\)$"),
        ([LATE, *GOOD, EARLY], 1, r"max_broken allows 1, .*: 2 that the chat template refuses \(.*:1, \.\.\.\)$"),
        ([EARLY, LATE], 5, r"one at least must be used: 2 that the chat template refuses"),
        ([{"messages": 3}, LATE, *GOOD], 1, r"1 that cannot be used \(.*:1\), 1 that the chat template refuses"),
    ],
)
def test_more_than_max_broken_allows_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], max_broken: int, said: str
) -> None:
    task = _task(tmp_path, rows, max_broken)
    for key, make in (("train", _learnt), ("val", _asked)):
        with pytest.raises(TaskError, match=rf"^tasks\.t\.{key}: .*{said}"):
            make(task, tmp_path)


def test_a_cache_of_a_space_that_allowed_more_is_not_used(tmp_path: Path) -> None:
    rows = [*GOOD, EARLY]
    _learnt(_task(tmp_path, rows, 1), tmp_path)
    with pytest.raises(TaskError, match="roles must alternate"):
        _learnt(_task(tmp_path, rows, 0), tmp_path)


def test_a_look_at_a_few_goes_on_where_the_template_refuses_all_of_them(tmp_path: Path) -> None:
    task = _task(tmp_path, [EARLY, LATE, *GOOD], 3).few(1)
    assert _asked(task, tmp_path).num_items == 1
    assert len(_sequences(_learnt(task, tmp_path))) >= 1


def test_an_instruction_with_the_template_is_skipped_alike(tmp_path: Path) -> None:
    rows = [{"instruction": "Ask.", "output": text} for text in ("yes", "no <|im_end|>")]
    path = tmp_path / "i.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    source = JsonLinesSource(kind="jsonl", path=path, max_broken=1)
    declared = InstructionTask(kind="instruction", role="speciality", chat_template=True, train=source)
    found = _learnt(resolve_text_tasks({"t": declared})["t"], tmp_path)
    assert (len(_sequences(found)), found.broken["t"]) == (1, {"that the chat template refuses": [f"{path}:2"]})
