"""Errors about unreadable data sets say what to do."""

import json
import socket
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


def _data_set(folder: Path, files: str) -> TextDatasetSource:
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "mine"}\n')
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  {files}\n---\n")
    return TextDatasetSource(kind="dataset", path=str(folder), split="train")


@pytest.mark.parametrize(
    "files",
    [
        "data_files: ../private.jsonl",
        "data_files: 'sub/../../private.jsonl'",
        "data_files: '{tmp}/*.jsonl'",
        "data_files: 'file://{tmp}/private.jsonl'",
        "data_files: 'local://{tmp}/private.jsonl'",
        "data_files: [{{split: train, path: [train.jsonl, ../private.jsonl]}}]",
        "data_files: 'https://host.invalid/x.jsonl'",
        "data_files: 'zip://x.jsonl::https://host.invalid/x.zip'",
        "data_files: 'hf://datasets/somebody/else/x.jsonl'",
        "data_dir: ..",
    ],
)
def test_a_data_sets_readme_names_no_file_of_another_place(
    tmp_path: Path, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would lend its user's other files to a training, or ask servers in the user's network."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a server is asked"))
    (tmp_path / "private.jsonl").write_text('{"text": "private"}\n')
    source = _data_set(tmp_path / "odd", files.format(tmp=tmp_path))
    with pytest.raises(TaskError, match=r"^.*odd\[train\]: the data set names .*expected files in its own folder"):
        load_split(source, files="JSON lines")


@pytest.mark.parametrize("files", ["data_files: train.jsonl", "data_files: '{folder}/*.jsonl'", "data_files: '*'"])
def test_a_data_sets_readme_may_name_its_own_files(tmp_path: Path, files: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    real = tmp_path / "real"
    source = _data_set(real, files.format(folder=real))
    (tmp_path / "link").symlink_to(real)
    for path in (real, tmp_path / "link"):
        table, _ = load_split(source.model_copy(update={"path": str(path)}), files="JSON lines")
        assert table[0] == {"text": "mine"}


def test_a_saved_data_set_names_no_file_of_another_place(tmp_path: Path) -> None:
    from datasets import Dataset

    for name in ("mine", "private"):
        Dataset.from_list([{"text": name}]).save_to_disk(tmp_path / name)
    source = TextDatasetSource(kind="dataset", path=str(tmp_path / "mine"), split="train")
    assert load_split(source, files="Arrow files")[0][0] == {"text": "mine"}
    state = json.loads((tmp_path / "mine" / "state.json").read_text())
    (file,) = (tmp_path / "private").glob("*.arrow")
    for name in (f"../private/{file.name}", str(file)):
        (tmp_path / "mine" / "state.json").write_text(json.dumps(state | {"_data_files": [{"filename": name}]}))
        with pytest.raises(TaskError, match="expected files in its own folder"):
            load_split(source, files="Arrow files")
