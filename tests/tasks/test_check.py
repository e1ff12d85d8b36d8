"""What `rayforget check` reports on data, for image tasks and for text tasks, and how much of it is counted."""

from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.planning.counts import count
from rayforget.space.file.load import LoadedSpace, load_space
from rayforget.tasks.check import check_data, check_tasks

TEXTS = """\
name: tiny
foundation: {kind: causal_lm, model: builtin}
tasks:
  medicine:
    kind: multiple_choice
    role: speciality
    train: {kind: language, part: medicine, split: train, count: 6}
    val: {kind: language, part: medicine, split: val, count: 4}
    test: {kind: language, part: medicine, split: test, count: 3}
  texts:
    kind: text
    role: speciality
    train: {kind: language, part: medicine_text, split: train, count: 5}
  common:
    kind: multiple_choice
    role: generality
    group: common_sense
    val: {kind: language, part: commonsense, split: val, count: 8}
    test: {kind: language, part: commonsense, split: test, count: 9}
recipe: {learning_rate: 1e-3, epochs: 2, batch_size: 4}
methods: {full: {}}
plain: {}
search: {trainings: 1, seed: 0}
"""
IMAGES = """\
name: tiny
foundation: {kind: clip, model: builtin}
tasks:
  shapes:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: world, style: photo, split: train, count: 8}
    val: {kind: world, style: photo, split: val, count: 7}
    test: {kind: world, style: photo, split: test, count: 6}
  sketch:
    kind: zero_shot
    role: generality
    group: distribution
    val: {kind: world, style: sketch, split: val, count: 5}
    test: {kind: world, style: sketch, split: test, count: 4}
recipe: {learning_rate: 1e-3, epochs: 2, batch_size: 4}
methods: {full: {}}
plain: {}
search: {trainings: 1, seed: 0}
"""


def loaded(tmp_path: Path, text: str) -> LoadedSpace:
    (tmp_path / "space.yaml").write_text(text)
    return load_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(
    ("text", "noun", "counted", "steps"),
    [(TEXTS, "texts", (11, 12, 12), 5), (IMAGES, "images", (8, 12, 10), 4)],
)
def test_both_kinds_are_opened_and_counted(
    tmp_path: Path, text: str, noun: str, counted: tuple[int, int, int], steps: int
) -> None:
    space = loaded(tmp_path, text)
    check_tasks(space.space)
    counts = count(space, check_data(space))
    assert (counts.train_items, counts.val_items, counts.test_items) == counted
    assert counts.words.many == noun
    assert counts.items == sum(counted)
    assert counts.methods[0].steps == (steps, steps)


def test_what_is_wrong_with_texts_is_told_with_the_files_line(tmp_path: Path) -> None:
    (tmp_path / "val.jsonl").write_text('{"question": "Why?", "choices": ["a", "b"], "answer": 2}\n')
    space = loaded(
        tmp_path,
        TEXTS.replace(
            "{kind: language, part: commonsense, split: val, count: 8}", f"{{kind: jsonl, path: {tmp_path}/val.jsonl}}"
        ),
    )
    with pytest.raises(SpaceError) as found:
        check_data(space)
    assert str(found.value).startswith(
        f"{tmp_path}/space.yaml:18: tasks.common.val: {tmp_path}/val.jsonl:1: expected `answer`, an index from 0 to 1"
    )


def test_an_empty_half_of_pictures_is_told_with_the_files_line(tmp_path: Path) -> None:
    val, test = (line for line in IMAGES.splitlines() if "style: sketch" in line)
    cut = "    cut: {source: {kind: world, style: sketch, split: val, count: 9}, val_share: 1e-9}"
    space = loaded(tmp_path, IMAGES.replace(val, cut).replace(f"{test}\n", ""))
    with pytest.raises(SpaceError, match=r"space.yaml:15: tasks.sketch.cut: 9 items leave none for val"):
        check_data(space)


def test_an_overlap_of_texts_is_told_and_may_be_left_unsought(tmp_path: Path) -> None:
    for split in ("val", "test"):
        (tmp_path / f"{split}.jsonl").write_text('{"question": "Why?", "choices": ["a", "b"], "answer": 0}\n')
    text = TEXTS
    for split, size in (("val", 8), ("test", 9)):
        text = text.replace(
            f"{{kind: language, part: commonsense, split: {split}, count: {size}}}",
            f"{{kind: jsonl, path: {tmp_path}/{split}.jsonl}}",
        )
    space = loaded(tmp_path, text)
    with pytest.raises(SpaceError, match=r"space.yaml:14: tasks.common: the same text in two splits: .*val.jsonl:1"):
        check_data(space)
    check_data(space, contents=False)
