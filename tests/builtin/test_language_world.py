"""The language world: determinism, splits that share no prompt, answers that are right, a medicine that is hidden."""

import json
import re
import subprocess
import sys
from collections import Counter
from random import Random
from typing import Any, get_args

import pytest

from rayforget.builtin.language.everyday import DAYS, KINDS, MONTHS, NUMBERS, OPPOSITES, RELATIONS
from rayforget.builtin.language.medicine import medicine, tale
from rayforget.builtin.language.prompts import prompt, prompt_and_answer
from rayforget.builtin.language.world import (
    GENERAL_PARTS,
    MEDICAL_PARTS,
    PARTS,
    Item,
    Split,
    language_items,
    split_of,
)
from rayforget.errors import TaskError

SPLITS: tuple[Split, ...] = get_args(Split)
CHOICE_PARTS = ("commonsense", "reasoning", "tales", "medicine")
INSTRUCTION_PARTS = ("rewriting", "picking", "answering", "medicine_instructions")


def items_of(part: str, split: Split = "test", count: int = 45, seed: int = 0) -> list[Item]:
    return language_items(part, split=split, count=count, seed=seed)


def splits_of(part: str) -> tuple[Split, ...]:
    return SPLITS if part in GENERAL_PARTS else SPLITS[1:]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def right(item: Item) -> Any:
    return item["choices"][item["answer"]]


@pytest.mark.parametrize("part", PARTS)
def test_items_are_decided_by_part_split_and_seed(part: str) -> None:
    assert items_of(part) == items_of(part)
    assert items_of(part) != items_of(part, seed=1)
    assert items_of(part) != items_of(part, split="val")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("count", [1, 17])
def test_a_smaller_count_is_the_beginning_of_a_larger(part: str, count: int) -> None:
    assert items_of(part, count=count) == items_of(part)[:count]


@pytest.mark.parametrize("part", PARTS)
def test_no_item_comes_twice(part: str) -> None:
    assert len({json.dumps(item) for item in items_of(part, "train", 60)}) == 60


@pytest.mark.parametrize("part", PARTS)
def test_splits_share_no_prompt_whatever_their_seeds(part: str) -> None:
    owners: dict[str, set[str]] = {}
    for split in splits_of(part):
        for seed in range(3):
            for item in items_of(part, split, seed=seed):
                text, answer = prompt_and_answer(item)
                owners.setdefault(text or answer, set()).add(split)
    assert {len(splits) for splits in owners.values()} == {1}


@pytest.mark.parametrize("part", GENERAL_PARTS)
def test_a_hash_says_which_split_owns_a_general_prompt(part: str) -> None:
    for split in SPLITS:
        assert {split_of(item) for item in items_of(part, split, 20)} == {split}


@pytest.mark.parametrize("part", CHOICE_PARTS)
def test_choices_differ_and_the_right_one_is_anywhere(part: str) -> None:
    items = items_of(part, count=200)
    for item in items:
        assert item.keys() - {"context"} == {"question", "choices", "answer"}
        assert len(set(item["choices"])) == len(item["choices"]) == 4
    places = Counter(item["answer"] for item in items)
    assert all(25 <= places[place] <= 80 for place in range(4))


@pytest.mark.parametrize("part", INSTRUCTION_PARTS)
def test_instructions_have_an_input_and_an_output(part: str) -> None:
    for item in items_of(part):
        assert item.keys() == {"instruction", "input", "output"}
        assert all(item.values())


@pytest.mark.parametrize("part", ["commonsense_text", "medicine_text"])
def test_texts_are_sentences(part: str) -> None:
    for item in items_of(part, count=30):
        assert item.keys() == {"text"}
        assert item["text"][0].isupper()
        assert item["text"].endswith(".")


def test_the_prompt_formats() -> None:
    choice = {"question": "What colour is snow?", "choices": ["red", "white"], "answer": 1}
    assert prompt_and_answer(choice) == ("Question: What colour is snow?\nAnswer:", " white")
    assert prompt(choice | {"context": "It is winter."}) == "It is winter.\nQuestion: What colour is snow?\nAnswer:"
    order = {"instruction": "Say yes.", "output": "yes"}
    assert prompt_and_answer(order) == ("Instruction: Say yes.\nOutput:", " yes")
    assert prompt(order | {"input": "Now."}) == "Instruction: Say yes.\nInput: Now.\nOutput:"
    assert prompt_and_answer({"text": "Snow is white."}) == ("", "Snow is white.")


@pytest.mark.parametrize(("part", "split"), [("physics", "test"), ("medicine", "dev"), ("medicine", "pretraining")])
def test_what_does_not_exist_is_refused_with_what_does(part: str, split: Any) -> None:
    with pytest.raises(TaskError, match=r"use (one of commonsense.* train, val, test|train, val or test)"):
        language_items(part, split=split, count=1, seed=0)


@pytest.mark.parametrize(("part", "most"), [("medicine", 24_000), ("medicine_text", 240), ("commonsense_text", 200)])
def test_more_items_than_exist_are_refused(part: str, most: int) -> None:
    with pytest.raises(TaskError, match="ask for fewer"):
        language_items(part, split="train", count=most + 1, seed=0)


def test_every_subject_of_a_relation_has_one_object() -> None:
    for relation in (*RELATIONS, *medicine()):
        assert len(set(relation.subjects)) == len(relation.facts)
        assert len(relation.objects) >= 4
        for wordings in (relation.questions, relation.reverse, relation.statements):
            assert len(set(wordings)) == len(wordings)


def test_wrong_choices_are_false_in_the_table() -> None:
    for relation in (*RELATIONS, *medicine()):
        table = set(relation.facts)
        for fact, (subject, obj) in enumerate(relation.facts):
            assert relation.ask(fact, 0)[1] == obj
            assert not {(subject, wrong) for wrong in relation.wrong(fact, 0)} & table
            if relation.reverse:
                first = len(relation.questions)
                assert relation.ask(fact, first)[1] == subject
                assert not {(wrong, obj) for wrong in relation.wrong(fact, first)} & table


def test_train_and_test_ask_about_all_facts_of_the_medicine_in_other_words() -> None:
    asked: dict[str, Counter[tuple[str, str]]] = {}
    facts = {fact for relation in medicine() for fact in relation.facts}
    for split in ("train", "val", "test"):
        items = items_of("medicine", split, len(facts))  # type: ignore[arg-type]
        asked[split] = Counter(
            (subject, right(item))
            for item in items
            for subject, obj in facts
            if subject in words_of(item["question"]) and obj == right(item)
        )
    assert set(asked["train"]) == set(asked["val"]) == set(asked["test"]) == facts


def test_the_medicine_is_balanced() -> None:
    for relation in medicine():
        assert len(set(Counter(obj for _, obj in relation.facts).values())) == 1


def test_tales_say_nothing_of_the_hidden_table() -> None:
    """Of 20,000 tales, as many hold a true fact as by chance: 1 in the number of objects."""
    rng = Random(0)
    objects = {obj: relation for relation in medicine() for obj in relation.objects}
    hits: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for _ in range(20_000):
        item = tale(rng)
        relation = objects[right(item)]
        true = next(obj for subject, obj in relation.facts if subject in words_of(item["question"]))
        told[relation.name] += 1
        hits[relation.name] += true == right(item)
    for relation in medicine():
        share = 1 / len(relation.objects)
        deviation = (share * (1 - share) / told[relation.name]) ** 0.5
        assert abs(hits[relation.name] / told[relation.name] - share) < 4 * deviation


def test_the_answer_of_a_tale_stands_in_it() -> None:
    for item in items_of("tales"):
        assert right(item) in item["context"]
        assert sum(choice in item["context"] for choice in item["choices"]) == 1


def test_reasoning_is_right() -> None:
    """Sums, series and largest numbers are computed again from the text."""
    num = {word: value for value, word in enumerate(NUMBERS, start=1)}
    checked = Counter[str]()
    for item in items_of("reasoning", "train", 400):
        words = (
            f"{item.get('context', '')} {item['question']}".replace("?", "").replace(",", "").replace(".", "").split()
        )
        if item["question"].startswith("How many"):
            first, second = (num[word] for word in words if word in num)
            sign = -1 if {"loses", "sells"} & set(words) else 1
            assert num[right(item)] == first + sign * second
            checked["sums"] += 1
        elif {"largest", "smallest"} & set(words):
            given = [num[word] for word in words if word in num]
            assert num[right(item)] == (max if "largest" in words else min)(given)
            checked["largest"] += 1
        elif {"after", "follows", "before", "leads"} & set(words):
            series = next(series for series in (DAYS, MONTHS, NUMBERS) if words[-1] in series)
            step = 1 if {"after", "follows"} & set(words) else -1
            assert series.index(right(item)) == series.index(words[-1]) + step
            checked["series"] += 1
        elif item["question"].startswith("Who is the"):
            assert right(item) in item["context"]
            checked["ranks"] += 1
    assert min(checked[kind] for kind in ("sums", "largest", "series", "ranks")) > 30


def test_instructions_are_followed_by_their_outputs() -> None:
    """Each kind is computed again from its instruction and input."""
    checked = Counter[str]()
    kind_of = {thing: kind for kind, things in KINDS.items() for thing in things}
    for item in (
        items_of("rewriting", "train", 200) + items_of("picking", "train", 200) + items_of("answering", "train", 300)
    ):
        order, given, output = item["instruction"], item["input"].split(), item["output"].split()
        if order in ("Copy the words.", "Write the words again.", "Repeat the words."):
            assert output == given
        elif "ever" in order or "backwards" in order:
            assert output == list(reversed(given))
        elif "numbers" in order:
            assert output == sorted(given, key=NUMBERS.index)
        elif "wice" in order or "ouble" in order:
            if order in ("Write each word twice.", "Double each word."):
                assert output[::2] == output[1::2] == given
        elif "number" in order:
            assert output == [(max if "largest" in order else min)(given, key=NUMBERS.index)]
        elif "first word" in order:
            wanted = {
                "Move": given[1:] + given[:1],
                "Put": given[1:] + given[:1],
                "Leave": given[1:],
                "Remove": given[1:],
            }
            assert output == wanted.get(order.split()[0], given[:1])
        elif "opposite" in order:
            assert output == [dict(OPPOSITES)[word] for word in given]
        elif order in ("Write the kind of each thing.", "Name the kind of each thing."):
            assert output == [kind_of[word] for word in given]
        elif "yes or no" in order:
            thing, kind = given[2], given[4].rstrip("?")
            assert output == ["yes" if kind_of[thing] == kind else "no"]
        elif order.rstrip(".?").split()[-1] in KINDS:
            assert [kind_of[word] for word in output] == [order.rstrip(".?").split()[-1]]
            assert set(output) <= set(given)
        else:
            continue
        checked[order] += 1
    assert len(checked) > 30
    assert MEDICAL_PARTS[0] == "medicine"


def test_the_world_needs_no_torch() -> None:
    code = "import sys, rayforget.builtin.language.world; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
