"""The tokenizer of the tiny OPT: whole words of the world, bytes for the rest, boundaries where prompts end."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from rayforget.builtin.language.measure import folder_of_weights
from rayforget.builtin.language.prompts import prompt_and_answer
from rayforget.builtin.language.tokenizer import build_tokenizer
from rayforget.builtin.language.world import PARTS, language_items


@pytest.fixture(scope="module")
def shipped() -> Any:
    return AutoTokenizer.from_pretrained(folder_of_weights(), local_files_only=True)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def test_special_tokens_lie_where_opts_do(shipped: Any) -> None:
    assert (shipped.pad_token_id, shipped.eos_token_id, shipped.bos_token_id) == (1, 2, 2)
    assert len(shipped) <= 1500
    assert shipped.model_max_length == 256


@pytest.mark.parametrize("part", PARTS)
def test_every_word_of_the_world_is_one_piece(shipped: Any, part: str) -> None:
    for item in language_items(part, split="test", count=40, seed=5):
        text = "".join(prompt_and_answer(item))
        pieces = shipped.convert_ids_to_tokens(ids_of(shipped, text))
        assert len(pieces) <= len(text.split()) * 2 + 4
        assert all(len(piece) > 1 or not piece.isalpha() or piece in "ĊaA" for piece in pieces), pieces


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_added_and_a_prompt_ends_where_its_answer_begins(shipped: Any, part: str) -> None:
    for item in language_items(part, split="test", count=20, seed=5):
        prompt, answer = prompt_and_answer(item)
        assert shipped(prompt + answer)["input_ids"] == ids_of(shipped, prompt) + ids_of(shipped, answer)


@pytest.mark.parametrize("text", ["", " ", "Zürich – 37 °C\n\n\ttab", "unbelievable", "日本語 🙂", "a  b   c", "▁Ġ"])
def test_any_text_comes_back_from_its_ids(shipped: Any, text: str) -> None:
    ids = ids_of(shipped, text)
    assert shipped.decode(ids) == text
    assert 3 not in ids


def test_a_tokenizer_is_the_same_after_saving_and_for_texts_in_any_order(tmp_path: Path) -> None:
    texts = ["A hammer is a tool.", "What is it?\nIt is red."]
    built = build_tokenizer(texts, max_length=9)
    assert build_tokenizer(texts[::-1], max_length=9).get_vocab() == built.get_vocab()
    built.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in [*texts, "What a red hammer!", "other words"]:
        assert ids_of(loaded, text) == ids_of(built, text)
        assert loaded.decode(ids_of(loaded, text)) == text
