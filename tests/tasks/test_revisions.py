"""The commits used are written into the space, each where its data was declared."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pyarrow.ipc
import pytest

from rayforget.errors import TaskError
from rayforget.space.models import Space
from rayforget.space.tasks.data import DatasetSource
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.tasks.images.hub import check_revision
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.resolved import Half, ResolvedTask, SplitItems
from rayforget.tasks.revisions import pin_revisions
from rayforget.tasks.text.lm_eval_settings import settled
from rayforget.tasks.text.lm_eval_task import Loaded, commit_taken

ONE, OTHER = "1" * 40, "2" * 40


class OnHub:
    """Two items of a hub data set."""

    class_names = ("a", "b")

    def __init__(self, revision: str | None) -> None:
        self.revision = revision

    def __len__(self) -> int:
        return 2

    def name(self, index: int) -> str:
        return str(index)

    def label(self, index: int) -> int:
        return index

    def read(self, index: int) -> bytes:
        return b""


class OnDisk(OnHub):
    """A source without revisions."""

    def __init__(self) -> None:
        pass


def hub(split: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "dataset", "path": "owner/name", "split": split, **fields}


SPACE = Space.model_validate(
    {
        "name": "tiny",
        "foundation": {"kind": "clip", "model": "builtin"},
        "tasks": {
            "s": {
                "kind": "zero_shot",
                "role": "speciality",
                "templates": ["a {}"],
                "train": hub("train", revision="main"),
                "val": hub("validation"),
                "test": {"kind": "folder", "path": "/data"},
            },
            "g": {"kind": "zero_shot", "role": "generality", "group": "d", "cut": {"source": hub("test"), "seed": 5}},
        },
        "recipe": {"learning_rate": {"low": 1e-5, "high": 1e-3}, "epochs": 1, "batch_size": 8},
        "methods": {"full": {}},
        "plain": {"set": {"learning_rate": 1e-4}},
        "search": {"trainings": 2, "seed": 0},
    }
)


def items(key: str, source: Any, half: Half | None = None) -> SplitItems:
    return SplitItems(key=key, source=LabelledImages(source), max_broken=0, half=half)


def resolved(name: str, splits: dict[Any, SplitItems]) -> ResolvedTask:
    names = ("a", "b")
    return ResolvedTask(
        name=name, role="speciality", group=None, class_ids=names, class_names=names, templates=("{}",), splits=splits
    )


def test_every_hub_data_set_gets_its_commit_and_nothing_else_changes() -> None:
    cut = OnHub(OTHER)
    tasks = {
        "s": resolved(
            "s",
            {
                "train": items("tasks.s.train", OnHub(ONE)),
                "val": items("tasks.s.val", OnHub(OTHER)),
                "test": items("tasks.s.test", OnDisk()),
            },
        ),
        "g": resolved(
            "g", {side: items("tasks.g.cut", cut, Half(side=side, seed=5, val_share=0.5)) for side in ("val", "test")}
        ),
    }
    pinned = pin_revisions(SPACE, tasks)
    expected = SPACE.model_dump(mode="json")
    expected["tasks"]["s"]["train"]["revision"] = ONE
    expected["tasks"]["s"]["val"]["revision"] = OTHER
    expected["tasks"]["g"]["cut"]["source"]["revision"] = OTHER
    assert pinned.model_dump(mode="json") == expected
    assert pin_revisions(pinned, tasks) == pinned


def test_an_lm_eval_tasks_commit_stands_at_the_task_and_is_asked_for_and_local_files_have_none(tmp_path: Path) -> None:
    place = tmp_path / "owner___arc" / "easy" / "0.0.0" / ONE / "arc-test.arrow"
    place.parent.mkdir(parents=True)
    table = pyarrow.table({"a": [1]})
    with pyarrow.ipc.new_stream(str(place), table.schema) as stream:
        stream.write_table(table)

    class OverHub:
        dataset = {"test": datasets.Dataset.from_file(str(place))}
        config = SimpleNamespace(dataset_path="owner/arc", dataset_name="easy")

    loaded = Loaded(members={"arc_easy": OverHub()})
    fields: dict[str, Any] = {
        "kind": "lm_eval",
        "role": "generality",
        "group": "c",
        "task": "arc_easy",
        "metric": "acc",
    }
    task = LmEvalTask.model_validate({**fields, "val": "validation", "test": "test"})
    assert commit_taken(loaded, task) == ONE
    assert commit_taken(loaded, task.model_copy(update={"revision": ONE})) == ONE
    local = task.model_copy(update={"data_files": {"test": tmp_path / "a.jsonl"}})
    assert commit_taken(loaded, local) is None
    with pytest.raises(TaskError, match=f"found commit {ONE} in the cache, expected {OTHER}; download it once"):
        commit_taken(loaded, task.model_copy(update={"revision": OTHER}))
    config = {"test_split": "test", "validation_split": "validation", "dataset_kwargs": {"x": 1}}
    found = settled(config, task.model_copy(update={"revision": ONE}), None)
    assert found["dataset_kwargs"] == {"x": 1, "revision": ONE}


def test_local_data_has_no_commit() -> None:
    tasks = {"s": resolved("s", {split: items(f"tasks.s.{split}", OnHub(None)) for split in ("train", "val", "test")})}
    assert pin_revisions(SPACE, tasks) == SPACE


def test_another_commit_than_the_one_asked_for_is_refused() -> None:
    asked = DatasetSource(kind="dataset", path="owner/name", split="test", revision=ONE)
    check_revision(asked, ONE)
    check_revision(asked, None)
    check_revision(asked.model_copy(update={"revision": "main"}), OTHER)
    check_revision(asked.model_copy(update={"revision": None}), OTHER)
    with pytest.raises(TaskError, match=rf"found commit {OTHER} .* expected {ONE} .*, revision='{ONE}'\)\""):
        check_revision(asked, OTHER)
