import itertools
import json

import numpy as np
import pytest
from tokenizers_here import tokenizer

from rayforget.errors import TaskError
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, MultipleChoiceTask, PlainTextTask, Sequences
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.training import cut, pieces, training_set
from rayforget.tasks.text.types import PairResults

EOS = 1


def source(tmp_path, name, rows):
    path = tmp_path / f"{name}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return JsonLinesSource(kind="jsonl", path=path)


@pytest.fixture
def tasks(tmp_path):
    choice = [{"question": f"Is {i} odd?", "choices": ["no", "yes"], "answer": i % 2} for i in range(3)]
    said = [{"instruction": "Say it.", "input": "x" * i, "output": "It. " * (i + 1)} for i in range(3)]
    texts = [{"text": "A cat and a dog sat on the mat. " * i} for i in (1, 4)]
    return resolve_text_tasks(
        {
            "b": MultipleChoiceTask(
                kind="multiple_choice", role="speciality", train=source(tmp_path, "choice", choice)
            ),
            "a": InstructionTask(kind="instruction", role="speciality", train=source(tmp_path, "said", said)),
            "c": PlainTextTask(kind="text", role="speciality", train=source(tmp_path, "texts", texts)),
        }
    )


def made(tasks, tmp_path, *, bos=False, adds_eos=False, max_length=512, eos=EOS, **settings):
    return training_set(
        tasks,
        tokenizer(bos=bos, eos=adds_eos),
        Sequences(**settings),
        max_length=max_length,
        eos=eos,
        prefix_token=0,
        cache=tmp_path / "cache",
    )


def sequences(found):
    return [found.tokens[a:b].tolist() for a, b in zip(found.starts, found.starts[1:], strict=False)]


@pytest.mark.parametrize("bos", [False, True])
def test_a_sequence_is_prompt_space_answer_and_end_in_the_spaces_order(tasks, tmp_path, bos):
    tok = tokenizer(bos=bos)
    found = made(tasks, tmp_path, bos=bos)
    expected = []
    for name in ("b", "a"):
        for document in tasks[name].splits["train"].documents:
            prompt = tok.encode(document.prompt)
            expected.append(([*tok.encode(f"{document.prompt} {document.answer}"), EOS], len(prompt)))
    expected += [([*tok.encode(each.answer), EOS], 1) for each in tasks["c"].splits["train"].documents]
    assert list(zip(sequences(found), found.first_targets.tolist(), strict=True)) == expected
    assert all((each[0] == 0) == bos for each in sequences(found))
    assert found.facts == {"cut_sequences": 0, "dropped_sequences": 0}


@pytest.mark.parametrize("bos", [False, True])
def test_an_end_mark_of_the_tokenizer_or_the_answer_is_learnt_once_and_stands_nowhere_else(tasks, tmp_path, bos):
    right, adding = made(tasks, tmp_path, bos=bos), made(tasks, tmp_path, bos=bos, adds_eos=True)
    assert sequences(adding) == sequences(right)
    assert adding.first_targets.tolist() == right.first_targets.tolist()
    rows = [{"instruction": "Say it.", "output": "It.</s>"}, {"instruction": "Say it.", "output": "It."}]
    said = InstructionTask(kind="instruction", role="speciality", train=source(tmp_path, "ended", rows))
    one, other = sequences(made(resolve_text_tasks({"s": said}), tmp_path, bos=bos))
    assert one == other
    assert one.count(EOS) == 1


PROMPTS = ["<s>[INST] {instruction} [/INST]", "{instruction}\nOutput:", "{instruction}\nassistant\n", "{input}"]


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("adds_eos", [False, True])
@pytest.mark.parametrize("delimiter", [None, "", " ", "\n"])
def test_what_is_learnt_is_what_is_scored_and_the_end_mark(tmp_path, bos, adds_eos, delimiter):
    """Whatever the prompt begins and ends with: also with its own beginning mark, a line break, or nothing at all."""
    rows = [{"instruction": "Say it.", "output": f"It is {n}."} for n in range(2)]
    tasks = {}
    for name, prompt in zip("abcd", PROMPTS, strict=True):
        sources = {split: source(tmp_path, split, rows) for split in ("train", "val", "test")}
        tasks[name] = InstructionTask(
            kind="instruction", role="speciality", prompt=prompt, delimiter=delimiter, **sources
        )
    opened = resolve_text_tasks(tasks)
    learnt = made(opened, tmp_path, bos=bos, adds_eos=adds_eos)
    scored = []
    for task in opened.values():
        asked = task_requests(
            task,
            "val",
            tokenizer(bos=bos, eos=adds_eos),
            max_length=512,
            prefix_token=0,
            cache=tmp_path / "cache",
        )
        starts = asked.pairs.starts
        scored += [asked.pairs.tokens[a:b].tolist() for a, b in itertools.pairwise(starts)]
        assert asked.judge(PairResults(log_likelihoods=np.zeros(2), greedy=np.ones(2, bool)), [])[1].tolist() == [8, 8]
    assert sequences(learnt) == [[*tokens, EOS] for tokens in scored]
    tok = tokenizer(bos=False)
    beginnings = [[0], [0] * bos, [0] * bos, [0]]  # an empty prompt has nothing else before the answer
    asked_for = ["<s>[INST] Say it. [/INST]", "Say it.\nOutput:", "Say it.\nassistant\n", ""]
    between = [delimiter] * 4 if delimiter is not None else [" ", " ", "", " "]
    for number, tokens in enumerate(scored[::2]):
        text = asked_for[number].removeprefix("<s>") + between[number] + "It is 0."
        assert tokens == [*beginnings[number], *tok.encode(text)]


def test_loss_on_all_begins_with_the_second_token(tasks, tmp_path):
    found = made(tasks, tmp_path, loss_on="all")
    assert set(found.first_targets.tolist()) == {1}
    assert sequences(found) == sequences(made(tasks, tmp_path))


def test_without_an_end_mark_nothing_stands_behind_the_answer(tasks, tmp_path):
    with_end, without = sequences(made(tasks, tmp_path)), sequences(made(tasks, tmp_path, eos=None))
    assert [each[:-1] for each in with_end] == without


@pytest.mark.parametrize("max_length", [2, 3, 17])
def test_cutting_keeps_the_end_of_the_prompt_and_the_beginning_of_the_answer(tasks, tmp_path, max_length):
    whole, short = made(tasks, tmp_path, eos=None), made(tasks, tmp_path, eos=None, max_length=max_length)
    count = 0
    for long, first, kept, first_kept in zip(
        sequences(whole)[:6], whole.first_targets, sequences(short)[:6], short.first_targets, strict=False
    ):
        prompt, answer = long[:first], long[first:]
        count += len(long) > max_length
        assert len(kept) == min(len(long), max_length)
        assert prompt[-first_kept:] == kept[:first_kept]
        assert answer[: len(kept) - first_kept] == kept[first_kept:]
        assert first_kept >= 1
        assert len(kept) - first_kept == min(len(answer), max_length - 1)
    assert short.facts == {"cut_sequences": count, "dropped_sequences": 0}
    assert count > 0


def test_dropping_leaves_out_what_is_too_long_and_counts_it(tasks, tmp_path):
    lengths = [len(each) for each in sequences(made(tasks, tmp_path))[:6]]
    limit = sorted(lengths)[2]
    found = made(tasks, tmp_path, max_length=limit, too_long="drop")
    kept = sequences(made(tasks, tmp_path))[:6]
    assert sequences(found)[:3] == [each for each in kept if len(each) <= limit][:3]
    assert found.facts == {"cut_sequences": 0, "dropped_sequences": sum(length > limit for length in lengths)}


@pytest.mark.parametrize("length", [2, 3, 7, 8, 9, 20])
@pytest.mark.parametrize("max_length", [2, 3, 8])
def test_pieces_lose_nothing_and_learn_every_token_but_the_first_once(length, max_length):
    tokens = list(range(length))
    found = list(pieces(tokens, max_length))
    assert all(2 <= len(piece) <= max_length for piece in found)
    assert [token for piece in found for token in piece[1:]] == tokens[1:]
    assert found[0][0] == 0


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_of_one_token_has_nothing_to_learn(length):
    assert list(pieces(list(range(length)), 4)) == []


@pytest.mark.parametrize(("prompt", "answer"), [(1, 1), (1, 9), (9, 1), (9, 9), (3, 2)])
def test_cut_fits_and_keeps_a_token_of_each(prompt, answer):
    kept_prompt, kept_answer = cut(list(range(prompt)), list(range(100, 100 + answer)), 5)
    assert len(kept_prompt) + len(kept_answer) == min(5, prompt + answer)
    assert kept_prompt == list(range(prompt))[-len(kept_prompt) :]
    assert kept_answer == list(range(100, 100 + answer))[: len(kept_answer)]


def test_what_is_learnt_is_told_by_its_hash_and_found_in_the_cache(tasks, tmp_path, monkeypatch):
    one = made(tasks, tmp_path)
    monkeypatch.setattr("rayforget.tasks.text.training.encode_pairs", None)
    again = made(tasks, tmp_path)
    assert again.items_hash == one.items_hash
    assert isinstance(again.tokens, np.memmap)
    assert not again.tokens.flags.writeable
    monkeypatch.undo()
    others = [
        made(tasks, tmp_path, bos=True),
        made(tasks, tmp_path, eos=None),
        made(tasks, tmp_path, max_length=9),
        made(tasks, tmp_path, loss_on="all"),
        made({name: tasks[name] for name in ("a", "b", "c")}, tmp_path),
    ]
    assert len({one.items_hash, *(other.items_hash for other in others)}) == 6


def test_nothing_left_to_learn_is_an_error(tasks, tmp_path):
    with pytest.raises(TaskError, match=r"none of 3 training sequences fits 2 tokens; raise foundation.sequences"):
        made({"a": tasks["a"]}, tmp_path, max_length=2, too_long="drop")
    with pytest.raises(TaskError, match="no task has `train:`"):
        made({}, tmp_path)
