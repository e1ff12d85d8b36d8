"""A few documents in the schema of each of lm-eval's tasks that a medical sweep names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = ("cat", "dog", "sun", "rain", "table", "red wine", "été", "blood")


def word(index: int) -> str:
    return WORDS[index % len(WORDS)]


def _arc(i: int) -> dict[str, Any]:
    texts = [word(i), word(i + 1) + "s", word(i + 3)]
    return {
        "id": f"q{i}",
        "question": f"What is {i}?",
        "choices": {"text": texts, "label": ["A", "B", "C"]},
        "answerKey": "ABC"[i % 3],
    }


def _medmcqa(i: int) -> dict[str, Any]:
    options = {f"op{letter}": word(i + place) for place, letter in enumerate("abcd")}
    return {"id": f"x{i}", "question": f"Which is {i}?", **options, "cop": i % 4, "exp": None}


def _medqa(i: int) -> dict[str, Any]:
    endings = {f"ending{place}": word(i + place) for place in range(4)}
    return {"id": f"t{i}", "sent1": f"A patient has {i}.", "sent2": "", **endings, "label": i % 4}


def _pubmedqa(i: int) -> dict[str, Any]:
    contexts = [f"We looked at {word(i)}.", "It was so."]
    return {"QUESTION": f"Is {i} so?", "CONTEXTS": contexts, "final_decision": ("yes", "no", "maybe")[i % 3]}


def _hellaswag(i: int) -> dict[str, Any]:
    return {
        "ind": i,
        "activity_label": "Cooking",
        "ctx_a": f"A cook takes {i} eggs.",
        "ctx_b": "then she",
        "endings": [f"eats the {word(i + place)} [header]." for place in range(4)],
        "label": str(i % 4),
    }


def _winogrande(i: int) -> dict[str, Any]:
    sentence = f"The {word(i)} met the {word(i + 1)} {i} times because the _ was late."
    return {"sentence": sentence, "option1": word(i), "option2": word(i + 1), "answer": "12"[i % 2]}


def _openbookqa(i: int) -> dict[str, Any]:
    choices = {"text": [word(i), word(i + 2), "it"], "label": ["A", "B", "C"]}
    return {"id": f"o{i}", "question_stem": f"The thing {i} is", "choices": choices, "answerKey": "ABC"[i % 3]}


def _commonsense(i: int) -> dict[str, Any]:
    choices = {"text": [word(i + place) for place in range(5)], "label": list("ABCDE")}
    return {"id": f"c{i}", "question": f"Where is {i}? ", "choices": choices, "answerKey": "ABCDE"[i % 5]}


DOCUMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "arc_easy": _arc,
    "arc_challenge": _arc,
    "arc_challenge_chat": lambda i: {**_arc(i), "choices": {"text": ["a", "b", "c", "d"], "label": list("ABCD")}},
    "medmcqa": _medmcqa,
    "medqa_4options": _medqa,
    "pubmedqa": _pubmedqa,
    "hellaswag": _hellaswag,
    "piqa": lambda i: {"goal": f"Do {i}", "sol1": word(i), "sol2": f"{word(i)} twice", "label": i % 2},
    "winogrande": _winogrande,
    "openbookqa": _openbookqa,
    "commonsense_qa": _commonsense,
    "social_iqa": lambda i: {
        "context": f"Kim saw {i}.",
        "question": "Why?",
        "answerA": word(i),
        "answerB": word(i + 1),
        "answerC": "so",
        "label": str(i % 3 + 1),
    },
    "boolq": lambda i: {"passage": f"There are {i}.", "question": f"are there {i}", "idx": i, "label": i % 2},
    "lambada_openai": lambda i: {"text": f"The {word(i)} sat on the {word(i + 3).split()[0]}"},
    "ifeval": lambda i: {
        "key": i,
        "prompt": f"Write of the {word(i)} {i} times. "
        + "Please do so. " * i
        + "Use no commas, and lowercase letters.",
        "instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"][: 1 + i % 2],
        "kwargs": [{}, {}][: 1 + i % 2],
    },
    "wikitext": lambda i: {"page": f" = {word(i)} = \n The {word(i)} 's {i} @,@ 000 " + "long " * (5 * i)},
}
SPLIT = {"lambada_openai": "test", "ifeval": "train"} | dict.fromkeys(("arc_challenge_chat", "wikitext"), "test")
"""The split of each task's data that is used here; validation for the others."""
CHOOSING = [name for name in DOCUMENTS if name not in ("arc_challenge_chat", "ifeval", "lambada_openai", "wikitext")]


def split_of(name: str) -> str:
    return SPLIT.get(name, "validation")


def write(folder: Path, name: str, count: int = 7, *, first: int = 0, split: str | None = None) -> Path:
    """Writes FOLDER/NAME-SPLIT.jsonl."""
    path = folder / f"{name}-{split or split_of(name)}.jsonl"
    path.write_text("\n".join(json.dumps(DOCUMENTS[name](first + i)) for i in range(count)) + "\n")
    return path
