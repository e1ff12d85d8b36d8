"""search_spaces/galactica_medical.yaml, run dry: a random-weight model with Galactica's layout, and local data."""

import json
from pathlib import Path

import pytest
import torch
from tiny_lm import save_lm

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo, space_digest
from rayforget.space.file.load import LoadedSpace, load_space
from rayforget.space.methods import methods_of
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.tasks.check import check_data
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial

SPACE = Path(__file__).parent.parent / "search_spaces" / "galactica_medical.yaml"


def test_it_names_what_the_paper_measures() -> None:
    tasks = load_space(SPACE).space.tasks
    asked = {task.task for task in tasks.values() if isinstance(task, LmEvalTask)}
    assert asked >= {"medmcqa", "medqa_4options", "pubmedqa", "hellaswag", "piqa", "arc_easy", "arc_challenge"}
    assert asked >= {"winogrande", "openbookqa", "commonsense_qa", "social_iqa", "boolq", "ifeval"}


def test_another_model_is_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYFORGET_MODEL", "facebook/opt-1.3b")
    assert load_space(SPACE).space.foundation.model == "facebook/opt-1.3b"


@pytest.fixture
def dry(tmp_path: Path) -> LoadedSpace:
    """Everything small and local; without ifeval, which needs a download for nltk."""
    from lm_eval_data import write

    text = "\n".join(line for line in SPACE.read_text().splitlines() if not line.lstrip().startswith("ifeval:"))
    path = tmp_path / "space.yaml"
    path.write_text(text)
    model = save_lm(tmp_path / "galactica", "opt", galactica=True)
    rows = [{"instruction": f"Say {i}.", "input": "", "output": f"it is {i}"} for i in range(12)]
    learnt = tmp_path / "learnt.jsonl"
    learnt.write_text("\n".join(map(json.dumps, rows)) + "\n")
    overrides = {
        "vars.model": str(model),
        "foundation.sequences.length": "48",
        "tasks.flashcards.train": f"{{kind: jsonl, path: {learnt}, limit: 8}}",
        "tasks.exam_questions.train": f"{{kind: jsonl, path: {learnt}, limit: 4}}",
        "recipe.batch_size": "4",
        "recipe.accumulation": "2",
        "recipe.precision": "fp32",
        "resources.gpus_per_worker": "0",
        "resources.cpus_per_worker": "1",
        "storage.path": str(tmp_path / "runs"),
        "tracking.enabled": "false",
    }
    for name, task in load_space(path).space.tasks.items():
        if isinstance(task, LmEvalTask):
            splits = [task.cut.split] if task.cut else [task.val, task.test]
            files = {
                split: write(tmp_path, task.task, count=9, first=20 * place, split=split)
                for place, split in enumerate(splits)
                if split
            }
            listed = ", ".join(f"{split}: {file}" for split, file in files.items())
            overrides[f"tasks.{name}.data_files"] = f"{{{listed}}}"
    return load_space(path, [f"{key}={value}" for key, value in overrides.items()])


@pytest.mark.slow
def test_every_method_trains_and_is_scored_on_every_task(dry: LoadedSpace) -> None:
    torch.set_num_threads(1)
    check_data(dry)
    space = dry.space
    resolved = space.model_dump(mode="json")
    info = SweepInfo(name="dry", space_name=space.name, created=0.0, space_digest=space_digest(resolved))
    Sweep.create(Store.open(space.storage.path), info, space_text=dry.text, space=resolved)
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name="dry"))
    for method in methods_of(space):
        values = {
            path: domain.choice[0] if hasattr(domain, "choice") else domain.low
            for path, domain in method.domains.items()
        }
        job = TrialJob(name=f"0000-{method.name}", recipe=method.recipe(values, seed=0))
        records = run_trial(job, equipment, lambda *_: None)
        assert [record.fraction for record in records] == [0.5, 1.0], records[-1].reason
        assert {task for point in records[-1].points for task in point.scores} == set(space.tasks) - {
            "flashcards",
            "exam_questions",
        }
        speciality, generality = equipment.objectives(records[-1].points[-1].scores)
        assert 0 <= speciality <= 1
        assert 0 <= generality <= 1
        assert records[-1].facts["dropped_sequences"] == 0
