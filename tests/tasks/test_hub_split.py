"""Errors about unreadable data sets say what to do."""

from pathlib import Path

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalTask
from rayforget.space.tasks.text import TextDatasetSource
from rayforget.tasks.hub_split import load_split
from rayforget.tasks.text import lm_eval_task


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A data set that is code, like the hub's older ones."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "old.py").write_text("import datasets\n")
    return folder


def test_a_data_set_that_is_a_script_names_its_parquet_copy(script: Path) -> None:
    source = TextDatasetSource(kind="dataset", path=str(script), split="train")
    with pytest.raises(TaskError, match=r"old\[train\]: .*old\.py; the data set is a script, .*refs/convert/parquet"):
        load_split(source, files="Parquet or JSON lines")


def test_an_lm_eval_task_over_a_script_asks_for_data_files(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = lm_eval_task.task_config
    monkeypatch.setattr(
        lm_eval_task, "task_config", lambda name: {**known(name), "dataset_path": str(script), "dataset_name": None}
    )
    task = LmEvalTask(
        kind="lm_eval", role="generality", group="g", task="piqa", metric="acc", cut=LmEvalCut(split="validation")
    )
    expected = r"^tasks.t.task: lm-eval's task piqa: .*old\.py; the data set is a script, .* files under `data_files:`$"
    with pytest.raises(TaskError, match=expected):
        lm_eval_task.load_lm_eval_task("t", task)
