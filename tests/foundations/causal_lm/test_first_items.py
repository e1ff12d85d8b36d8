"""What `check` shows of a training set, and what is told of rows that were skipped."""

import json
from pathlib import Path

import numpy as np
import torch
from tiny_language import tiny_tokenizer
from tiny_lm import save_lm

from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.prepared import prepare_causal_lm
from rayforget.foundations.causal_lm.shown import first_sequence
from rayforget.foundations.kind import kind_of
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.text import ChatTask, JsonLinesSource, MultipleChoiceTask
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.types import TrainingSet


def shown(text: str, first: int) -> str:
    tokens = np.array([0, *tiny_tokenizer().encode(text), 2], dtype=np.int32)
    starts = np.array([0, len(tokens)], dtype=np.int64)
    learnt = TrainingSet(
        tokens=tokens, starts=starts, first_targets=np.array([first], dtype=np.int32), facts={}, items_hash=""
    )
    return first_sequence(learnt, tiny_tokenizer())


def test_tokens_are_decoded_with_their_blanks_and_what_is_learnt_is_marked() -> None:
    assert shown("a cat\n\\t", 2) == "<s>|a » c|at|\\n|\\\\|t|</s>«"
    head, tail = "<s>|0| 1| 2| 3| 4| 5| 6| 7| 8| 9| 0", " 2| 3| 4| 5| 6| 7| 8| 9| 0| 1| 2| 3"
    learnt = " 4| 5| 6| 7| 8| 9|</s>"
    assert shown(" ".join("0123456789" * 5), 45) == f"{head}|... 21 more ...|{tail} »{learnt}«"


def test_the_first_item_of_a_task_is_shown_and_skipped_rows_are_facts(tmp_path: Path) -> None:
    sources = {}
    for number, split in enumerate(("train", "val", "test")):
        path = tmp_path / f"{split}.jsonl"
        row = {"question": f"Is {number} odd?", "choices": ["no", "yes"], "answer": number % 2}
        path.write_text(f"{json.dumps(row)}\n{{}}\n")
        sources[split] = JsonLinesSource(kind="jsonl", path=path, max_broken=1)
    tasks = resolve_text_tasks({"odd": MultipleChoiceTask(kind="multiple_choice", role="speciality", **sources)})
    spec = CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path / "model", "opt")))
    foundation = prepare_causal_lm(spec, tasks, cache=tmp_path / "cache", device=torch.device("cpu"), batch_tokens=256)
    (line,) = kind_of(spec).first_items(foundation).values()
    assert "".join(line.replace("|", "").split()) == "Question:Is...2more...odd?\\nAnswer:»no</s>«"
    recipe = Recipe(method="m", learning_rate=1e-3, epochs=1, batch_size=1, seed=0)
    for split, facts in (
        ("train", foundation.learner(recipe).facts),
        ("val", foundation.scorer(None).facts("val")),
        ("test", foundation.scorer(None).facts("test")),
    ):
        assert facts["broken_rows"] == {"odd": {"without `question`": [f"{tmp_path}/{split}.jsonl:2"]}}


def test_of_a_conversation_the_assistants_turn_is_marked(tmp_path: Path) -> None:
    model = save_lm(tmp_path / "model", "opt")
    (model / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role + ':' + m.content + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    path = tmp_path / "train.jsonl"
    turns = [{"from": "human", "value": "it"}, {"from": "gpt", "value": "sun"}]
    path.write_text(json.dumps({"conversations": turns}))
    train = JsonLinesSource(kind="jsonl", path=path)
    tasks = resolve_text_tasks({"talk": ChatTask(kind="chat", role="speciality", train=train)})
    spec = CausalLmFoundation(kind="causal_lm", model=str(model))
    foundation = prepare_causal_lm(spec, tasks, cache=tmp_path / "cache", device=torch.device("cpu"), batch_tokens=256)
    (line,) = kind_of(spec).first_items(foundation).values()
    assert "".join(line.replace("|", "").split()) == "user:it</s>assistant:»sun</s>«"
