"""The examples of docs/bring.md are what a space file takes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rayforget.space.file.load import load_space

PAGE = (Path(__file__).parents[2] / "docs" / "bring.md").read_text()
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
IMAGES = {"kind": "world", "style": "photo", "count": 8}
TEXTS = {"kind": "language", "part": "medicine", "count": 8}


def splits(source: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: {**source, "split": name} for name in names}


def whole(example: dict[str, Any]) -> dict[str, Any]:
    """The example with what a space needs besides: a foundation of its kind, and tasks of the roles that it lacks."""
    tasks = example.get("tasks", {})
    is_text = any(task["kind"] in ("multiple_choice", "chat", "lm_eval") for task in tasks.values())
    own, kind = (TEXTS, "multiple_choice") if is_text else (IMAGES, "zero_shot")
    roles = {task["role"] for task in tasks.values()}
    if "speciality" not in roles:
        templates = {} if is_text else {"templates": ["a {}"]}
        train = splits(own, "train", "val", "test")
        tasks = tasks | {"learnt": {"kind": kind, "role": "speciality", **templates, **train}}
    if "generality" not in roles:
        kept = {"kind": kind, "role": "generality", "group": "kept", **splits(own, "val", "test")}
        if not is_text:
            kept["templates"] = ["a {}"]
        tasks = tasks | {"kept": kept}
    recipe = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 4}
    if any(task["kind"] == "retrieval" for task in tasks.values()):
        recipe |= {"head": "text", "objective": "contrastive"}
    return {
        "name": "example",
        "foundation": {"kind": "causal_lm" if is_text else "clip", "model": "builtin"},
        "recipe": recipe,
        "methods": {"full": {}},
        "plain": {},
        "search": {"trainings": 1, "seed": 0},
        **example,
        "tasks": tasks,
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=[", ".join(each.get("tasks", each)) for each in EXAMPLES])
def test_an_example_of_the_page_is_a_space(example: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(whole(example), sort_keys=False))
    space = load_space(tmp_path / "space.yaml").space
    for name in example.get("tasks", {}):
        assert space.tasks[name].kind == example["tasks"][name]["kind"]


def test_the_page_has_an_example_of_each_kind_of_thing() -> None:
    kinds = {task["kind"] for example in EXAMPLES for task in example.get("tasks", {}).values()}
    assert kinds >= {"zero_shot", "retrieval", "multiple_choice", "chat", "lm_eval"}
    assert {key for example in EXAMPLES for key in example} == {"foundation", "methods", "tasks"}
