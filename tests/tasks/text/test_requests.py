import json
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from lm_eval_data import CHOOSING, DOCUMENTS, split_of, write
from lm_eval_peer import NotingHFLM, tiny_opt
from tokenizers_here import tokenizer

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalTask
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, MultipleChoiceTask, PlainTextTask
from rayforget.tasks.text.marks import marks_before
from rayforget.tasks.text.own_task import own_lm_eval_task
from rayforget.tasks.text.requests import after_marks, fitted, task_requests, windows
from rayforget.tasks.text.resolve import resolve_text_tasks

SCHEMA = {"arc_challenge_chat": "exact_match", "lambada_openai": "acc", "wikitext": "likelihood"}


def lm_eval_task(folder, name, **others):
    split = split_of(name)
    files = {split: write(folder, name)}
    return LmEvalTask(
        kind="lm_eval",
        role="generality",
        group="g",
        task=name,
        metric=SCHEMA.get(name, "acc"),
        data_files=files,
        cut=LmEvalCut(split=split),
        **others,
    )


def resolved(task):
    return resolve_text_tasks({"t": task})["t"]


def asked(task, tmp_path, *, bos=False, max_length=64, split="val", prefix_token=0):
    return task_requests(
        task, split, tokenizer(bos=bos), max_length=max_length, prefix_token=prefix_token, cache=tmp_path / "cache"
    )


def pairs_of(requests):
    """(tokens, start of the continuation) of each pair."""
    pairs = requests.pairs
    spans = pairwise(pairs.starts.tolist())
    return [
        (pairs.tokens[a:b].tolist(), first) for (a, b), first in zip(spans, pairs.continuations.tolist(), strict=True)
    ]


def noted(task, split, *, bos, max_length):
    """What HFLM asks about the same documents, in lm-eval's own loop."""
    judged = task.lm_eval or own_lm_eval_task("t", task.task, task.splits[split].documents[0])
    tok = tokenizer(bos=bos)
    peer = NotingHFLM(tiny_opt(len(tok), positions=max_length), tok, max_length)
    judged.set_fewshot_seed(1234)
    instances = []
    for index, document in enumerate(task.splits[split].documents):
        context = judged.fewshot_context(document.values, num_fewshot=judged.config.num_fewshot or 0)
        made = judged.construct_requests(document.values, context, metadata=("t", index, 1))
        instances += made if isinstance(made, list) else [made]
    getattr(peer, instances[0].request_type)(instances, disable_tqdm=True)
    return peer.noted


@pytest.fixture(scope="module")
def resolved_once(tmp_path_factory):
    """lm-eval's tasks by name, each read once."""
    folder = tmp_path_factory.mktemp("lm_eval")
    return cache(lambda name: resolved(lm_eval_task(folder, name)))


@pytest.fixture
def own(tmp_path):
    """One task of each of our own kinds over a dozen rows."""

    def make(kind):
        rows = {
            "multiple_choice": lambda i: {
                "question": f"Which {i}?",
                "context": "So. " * i,
                "choices": ["a cat", "dogs" * (i % 5) or "x", "été"],
                "answer": i % 3,
            },
            "instruction": lambda i: {"instruction": "Say it.", "input": "x" * i, "output": "It is " * (6 * i + 1)},
            "text": lambda i: {"text": "A cat and a dog sat on the mat. " * (3 * i + 1)},
        }[kind]
        sources = {}
        for split, numbers in (("val", range(12)), ("test", [20])):
            path = tmp_path / f"{kind}-{split}.jsonl"
            path.write_text("\n".join(json.dumps(rows(number)) for number in numbers))
            sources[split] = JsonLinesSource(kind="jsonl", path=path)
        classes = {"multiple_choice": MultipleChoiceTask, "instruction": InstructionTask, "text": PlainTextTask}
        return resolved(classes[kind](kind=kind, role="generality", group="g", **sources))

    return make


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("max_length", [64, 21])
@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name not in ("arc_challenge_chat", "ifeval")])
def test_lm_evals_own_tasks_ask_what_hflm_asks(resolved_once, tmp_path, name, bos, max_length):
    task = resolved_once(name)
    for split in ("val", "test"):
        found = asked(task, tmp_path, bos=bos, max_length=max_length, split=split)
        assert pairs_of(found) == noted(task, split, bos=bos, max_length=max_length)
        assert found.num_items == len(task.splits[split].documents)


@pytest.mark.parametrize(
    ("kind", "max_length", "bos"),
    [("multiple_choice", 64, False), ("multiple_choice", 31, True), ("multiple_choice", 64, True), ("text", 17, False)],
)
def test_our_own_tasks_ask_what_hflm_would(own, tmp_path, kind, bos, max_length):
    task = own(kind)
    found = asked(task, tmp_path, bos=bos, max_length=max_length)
    assert pairs_of(found) == noted(task, "val", bos=bos, max_length=max_length)
    assert found.rule == ("acc" if kind == "multiple_choice" else "bits_per_byte")


@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("max_length", [512, 17])
def test_a_plain_text_is_asked_for_after_one_beginning_mark(own, tmp_path, max_length, eos):
    """HFLM asks for the tokenizer's mark after its own."""
    task = own("text")
    found, plain = (
        task_requests(
            task, "val", tokenizer(bos=bos, eos=eos), max_length=max_length, prefix_token=0, cache=tmp_path / "cache"
        )
        for bos in (True, False)
    )
    assert pairs_of(found) == pairs_of(plain)
    targets = [token for tokens, first in pairs_of(found) for token in tokens[first:]]
    texts = [tokenizer(bos=False).encode(document.answer) for document in task.splits["val"].documents]
    assert targets == [token for text in texts for token in text]


def test_all_marks_of_a_tokenizer_are_context():
    assert after_marks([7, 8, 1, 2], [7, 8], 9, 4) == [([7, 8], [1, 2])]
    assert after_marks([7, 8, 1, 2], [7, 8], 9, 2) == [([8], [1, 2])]
    assert after_marks([1, 2], [], 9, 4) == [([9], [1, 2])]
    assert after_marks([9, 1], [], 9, 4) == [([9], [1])]
    assert after_marks([7, 8], [7, 8], 9, 4) == []


@pytest.mark.parametrize("bos", [False, True])
def test_instructions_ask_what_hflm_would_where_it_can(own, tmp_path, bos):
    task = own("instruction")
    assert pairs_of(asked(task, tmp_path, bos=bos, max_length=512)) == noted(task, "val", bos=bos, max_length=512)


@pytest.mark.parametrize("max_length", [2, 5, 16])
def test_an_output_longer_than_the_model_is_asked_in_windows_that_lose_nothing(own, tmp_path, max_length):
    task = own("instruction")
    whole, short = (asked(task, tmp_path, max_length=length) for length in (4096, max_length))
    targets = [[token for tokens, first in pairs_of(each) for token in tokens[first:]] for each in (whole, short)]
    assert targets[0] == targets[1]
    assert all(len(tokens) <= max_length + 1 and first >= 1 for tokens, first in pairs_of(short))


@pytest.mark.parametrize("continuation", [1, 3, 4, 5])
def test_a_context_loses_its_beginning_when_it_does_not_fit(continuation):
    ((context, kept),) = fitted(list(range(10)), list(range(10, 10 + continuation)), 5)
    assert kept == list(range(10, 10 + continuation))
    assert context == list(range(10))[-(6 - continuation) :]


def test_windows_predict_each_token_once():
    found = list(windows(list(range(1, 11)), 0, 4))
    assert [token for _, predicted in found for token in predicted] == list(range(1, 11))
    assert found[0] == ([0], [1, 2, 3, 4])
    assert found[-1] == ([6, 7, 8], [9, 10])


def test_answers_to_write_have_prompts_ends_and_lengths(tmp_path):
    task = resolved(lm_eval_task(tmp_path, "arc_challenge_chat"))
    found = asked(task, tmp_path, max_length=600)
    tok = tokenizer(bos=False)
    judged = task.lm_eval
    contexts = [
        judged.fewshot_context(each.values, num_fewshot=0, gen_prefix=judged.doc_to_prefix(each.values))
        for each in task.splits["val"].documents
    ]
    assert contexts[0].endswith("The best answer is")
    assert [prompt.tolist() for prompt in found.generations.prompts] == [tok.encode(each)[-500:] for each in contexts]
    assert set(found.generations.until) == {("\n\n", ".")}
    assert set(found.generations.max_new_tokens) == {100}
    assert len(found.pairs.continuations) == 0
    assert len(asked(task, tmp_path, max_length=101).generations.prompts[0]) == 1
    with pytest.raises(TaskError, match=r"^tasks.t.cut: the task asks for answers of 100 tokens, .* have 100; raise"):
        asked(task, tmp_path, max_length=100)


def test_requests_are_made_once_and_known_by_all_that_decides_them(own, tmp_path, monkeypatch):
    task = own("multiple_choice")
    one = asked(task, tmp_path)
    monkeypatch.setattr("rayforget.tasks.text.requests.encode_pairs", None)
    again = asked(task, tmp_path)
    assert isinstance(again.pairs.tokens, np.memmap)
    assert again.items_hash == one.items_hash
    assert pairs_of(again) == pairs_of(one)
    for other in ({"bos": True}, {"max_length": 32}, {"prefix_token": 1}):
        with pytest.raises(TypeError):
            asked(task, tmp_path, **other)


@pytest.mark.parametrize("model", ["opt_real", "stories260k"])
@pytest.mark.parametrize("name", ["arc_easy", "pubmedqa", "user_instructions", "tiny_stories"])
@pytest.mark.slow
def test_real_texts_and_tokenizers_ask_what_hflm_asks(shared, tmp_path, model, name):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = shared / "data" / "text" / name
    kinds = {"user_instructions": InstructionTask, "tiny_stories": PlainTextTask}
    kind = {"user_instructions": "instruction", "tiny_stories": "text"}.get(name, "multiple_choice")
    sources = {
        split: JsonLinesSource(kind="jsonl", path=folder / f"{split}.jsonl", limit=60) for split in ("val", "test")
    }
    task = resolved(kinds.get(name, MultipleChoiceTask)(kind=kind, role="generality", group="g", **sources))
    tok = AutoTokenizer.from_pretrained(shared / "data" / model)
    lm = AutoModelForCausalLM.from_pretrained(shared / "data" / model)
    peer = NotingHFLM(lm, tok, max_length=512)
    judged = own_lm_eval_task("t", task.task, task.splits["val"].documents[0])
    instances = []
    for index, document in enumerate(task.splits["val"].documents):
        context = judged.fewshot_context(document.values, num_fewshot=0)
        made = judged.construct_requests(document.values, context, metadata=("t", index, 1))
        instances += made if isinstance(made, list) else [made]
    getattr(peer, instances[0].request_type)(instances, disable_tqdm=True)
    found = task_requests(task, "val", tok, max_length=512, prefix_token=peer.prefix_token_id, cache=tmp_path / "cache")
    ours = pairs_of(found)
    assert len(ours) >= len(peer.noted)
    noted = peer.noted
    if kind == "text" and marks_before(tok):  # which HFLM asks for after its own
        noted = [(tokens[1:] if tokens[:2] == [peer.prefix_token_id] * 2 else tokens, 1) for tokens, _ in noted]
    if len(ours) == len(noted):
        assert ours == noted


@pytest.mark.parametrize("max_length", [512, 31, 14])
@pytest.mark.parametrize("kind", ["multiple_choice", "instruction"])
def test_items_that_lose_context_are_counted(own, tmp_path, kind, max_length):
    task = own(kind)
    whole, found = (asked(task, tmp_path, max_length=length) for length in (4096, max_length))
    assert whole.facts["cut_items"] == 0
    starts = whole.judge._request_starts
    long = np.diff(whole.pairs.starts) > max_length + 1  # one pair per request if nothing is cut
    assert found.facts["cut_items"] == sum(long[a:b].any() for a, b in pairwise(starts))
    assert (found.facts["cut_items"] > 0) == (max_length < 512)


def test_cut_prompts_are_counted_and_windows_of_texts_are_not(own, tmp_path):
    task = resolved(lm_eval_task(tmp_path, "arc_challenge_chat"))
    assert asked(task, tmp_path, max_length=600).facts == {"cut_items": 0}
    assert asked(task, tmp_path, max_length=101).facts == {"cut_items": len(task.splits["val"].documents)}
    assert asked(own("text"), tmp_path, max_length=16).facts["cut_items"] == 0


@pytest.mark.parametrize("max_length", [4096, 16])
@pytest.mark.parametrize("kind", ["instruction", "text"])
def test_tokens_of_all_answers_are_counted(own, tmp_path, kind, max_length):
    found = asked(own(kind), tmp_path, max_length=max_length)
    assert found.facts["tokens"] == sum(len(tokens) - first for tokens, first in pairs_of(found))


def test_of_choices_the_right_ones_tokens_are_counted(tmp_path):
    path = write(tmp_path, "arc_easy")
    task = LmEvalTask(
        kind="lm_eval",
        role="generality",
        group="g",
        task="arc_easy",
        metric="likelihood",
        data_files={"validation": path},
        cut=LmEvalCut(split="validation"),
    )
    task = resolved(task)
    found = asked(task, tmp_path)
    counts = [len(tokens) - first for tokens, first in pairs_of(found)]
    right = [3 * place + "ABC".index(d.values["answerKey"]) for place, d in enumerate(task.splits["val"].documents)]
    assert found.facts["tokens"] == sum(counts[each] for each in right)
    assert "tokens" not in asked(resolved(lm_eval_task(tmp_path, "arc_easy")), tmp_path).facts


def test_all_choosing_tasks_are_here():
    assert len(CHOOSING) == 12
