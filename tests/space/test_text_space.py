"""Spaces of language models: what fits them, what is trained on and scored, and the paths that they name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.frontier.points import task_roles
from rayforget.space.elsewhere import check_elsewhere, local_places
from rayforget.space.load import load_space

SMALL = """\
name: tiny
foundation: {kind: causal_lm, model: builtin}
tasks:
  medicine:
    kind: multiple_choice
    role: speciality
    train: {kind: language, part: medicine, split: train, count: 8}
    val: {kind: language, part: medicine, split: val, count: 8}
    test: {kind: language, part: medicine, split: test, count: 8}
  texts:
    kind: text
    role: speciality
    train: {kind: language, part: medicine_text, split: train, count: 8}
  common:
    kind: multiple_choice
    role: generality
    group: common_sense
    val: {kind: language, part: commonsense, split: val, count: 8}
    test: {kind: language, part: commonsense, split: test, count: 8}
recipe:
  learning_rate: {low: 1e-5, high: 1e-3, log: true}
  epochs: 2
  batch_size: 8
methods:
  full: {}
plain:
  set:
    learning_rate: 1e-4
search:
  trainings: 6
  seed: 0
storage: {path: 's3://bucket/runs'}
resources: {cache: /mnt/cache}
"""


@pytest.fixture
def text_space(tmp_path: Path) -> Callable[..., Path]:
    """Writes the small space, with whole lines (counted from 1) replaced, and returns its path."""

    def write(lines: dict[int, str] | None = None) -> Path:
        text = SMALL.splitlines()
        for number, line in (lines or {}).items():
            text[number - 1] = line
        path = tmp_path / "space.yaml"
        path.write_text("\n".join(text) + "\n")
        return path

    return write


def test_a_small_space_passes_and_counts_only_what_is_scored(text_space: Callable[..., Path]) -> None:
    loaded = load_space(text_space())
    assert [(role.name, role.role, role.group) for role in task_roles(loaded.space)] == [
        ("medicine", "speciality", ""),
        ("common", "generality", "common_sense"),
    ]
    check_elsewhere(loaded, paths_on_cluster=False)


WORLD = "{kind: world, style: photo, split: val, count: 8}"
TALES = "{kind: language, part: tales, split: val, count: 8}"
CONTRADICTIONS: dict[str, tuple[dict[int, str], int, str, str]] = {
    "images with a language model": (
        {15: "    kind: zero_shot", 18: f"    val: {WORLD}", 19: f"    test: {WORLD.replace('val', 'test')}"},
        15,
        "tasks.common.kind",
        "found zero_shot with foundation.kind: causal_lm; write multiple_choice, instruction, text or lm_eval",
    ),
    "nothing to train on": (
        {7: "", 12: "    role: generality\n    group: x", 13: f"    cut: {{source: {TALES}}}"},
        3,
        "tasks",
        "found none with `train:`; at least one speciality task has it",
    ),
    "specialities that are only learnt": (
        {8: "", 9: ""},
        3,
        "tasks",
        "none with role: speciality is scored; give at least one of them `val:` and `test:`",
    ),
    "no generality": (
        {16: "    role: speciality", 17: ""},
        3,
        "tasks",
        "none has role: generality; at least one task of each role is needed",
    ),
    "a classifier's head in the recipe": (
        {23: "  batch_size: 8\n  head: text"},
        24,
        "recipe.head",
        "has no effect with foundation.kind: causal_lm",
    ),
    "augmentation in a method": (
        {25: "  full: {augmentation: flip}"},
        25,
        "methods.full.augmentation",
        "has no effect with foundation.kind: causal_lm (it changes images): remove it",
    ),
    "augmentation in the baseline": (
        {28: "    learning_rate: 1e-4\n    augmentation: none"},
        29,
        "plain.set.augmentation",
        "has no effect",
    ),
    "one half of the splits": ({9: ""}, 4, "tasks.medicine.test", "has no test; add `test:`"),
    "training on generality": (
        {17: f"    group: g\n    train: {TALES}"},
        18,
        "tasks.common.train",
        "only the speciality is trained on",
    ),
    "shards for one worker": (
        {33: "resources: {cache: /mnt/cache, sharding: fsdp}"},
        33,
        "resources.sharding",
        "found fsdp with workers_per_slot: 1, which has nobody to share with",
    ),
}


@pytest.mark.parametrize(("lines", "line", "key", "text"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_one_line_that_names_the_key_to_change(
    text_space: Callable[..., Path], lines: dict[int, str], line: int, key: str, text: str
) -> None:
    path = text_space(lines)
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    messages = [one for one in str(caught.value).splitlines() if f": {key}: " in one]
    assert len(messages) == 1, str(caught.value)
    assert messages[0].startswith(f"{path}:{line}: {key}: ")
    assert text in messages[0]


def test_sharded_workers_may_distil_weights_that_are_all_trained(text_space: Callable[..., Path]) -> None:
    path = text_space(
        {
            25: "  full: {penalties: [{kind: kd, strength: 1}]}",
            33: "resources: {cache: /mnt/cache, sharding: fsdp, workers_per_slot: 2}",
        }
    )
    assert load_space(path).space.resources.sharding == "fsdp"


def test_texts_with_an_image_model_are_refused(text_space: Callable[..., Path]) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space(text_space({2: "foundation: {kind: clip, model: builtin}"}))
    assert str(caught.value).count("with foundation.kind: clip; write zero_shot") == 3


def test_every_local_path_is_named_with_its_line(text_space: Callable[..., Path], tmp_path: Path) -> None:
    path = text_space(
        {
            2: "foundation: {kind: causal_lm, model: /models/galactica}",
            7: "    train: {kind: jsonl, path: data/train.jsonl}",
            8: "    val: {kind: parquet, path: /data/val}",
            9: f"    test: {{kind: dataset, path: {tmp_path}, split: test}}",
            15: "    kind: lm_eval\n    task: arc_easy\n    metric: acc\n    data_files: {validation: /data/arc.jsonl}",
            18: "    cut: {split: validation}",
            19: "",
        }
    )
    loaded = load_space(path)
    assert [place.at for place in local_places(loaded)] == [
        ("foundation", "model"),
        ("tasks", "medicine", "train", "path"),
        ("tasks", "medicine", "val", "path"),
        ("tasks", "medicine", "test", "path"),
        ("tasks", "common", "data_files", "validation"),
        ("resources", "cache"),
    ]
    with pytest.raises(SpaceError) as caught:
        check_elsewhere(loaded, paths_on_cluster=False)
    *lines, _ = str(caught.value).splitlines()
    assert [line.split(" exists only")[0] for line in lines] == [
        f"{path}:2: foundation.model: /models/galactica",
        f"{path}:7: tasks.medicine.train.path: data/train.jsonl",
        f"{path}:8: tasks.medicine.val.path: /data/val",
        f"{path}:9: tasks.medicine.test.path: {tmp_path}",
        f"{path}:18: tasks.common.data_files.validation: /data/arc.jsonl",
    ]


def test_a_model_and_a_data_set_of_the_hub_are_everywhere(text_space: Callable[..., Path]) -> None:
    hub = "    val: {kind: dataset, path: owner/name, split: validation}"
    lines = {2: "foundation: {kind: causal_lm, model: facebook/galactica-1.3b}", 8: hub}
    check_elsewhere(load_space(text_space(lines)), paths_on_cluster=False)
