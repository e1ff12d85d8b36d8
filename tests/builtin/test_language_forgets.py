"""Plain fine-tuning of the built-in language model with rayforget itself learns the medicine and forgets."""

from pathlib import Path

import pytest

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.file.load import load_space
from rayforget.space.methods import plain_of
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial

QUICKSTART = Path(__file__).parents[2] / "search_spaces" / "lm_quickstart.yaml"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_plain_fine_tuning_gains_20_points_of_the_speciality_and_loses_8_of_generality(tmp_path: Path) -> None:
    overrides = [f"storage.path={tmp_path}", "curve.coarse=[0, 1]", "curve.refine=0"]
    space = load_space(QUICKSTART, overrides).space
    info = SweepInfo(name="quick", space_name=space.name, created=0.0, space_digest="")
    Sweep.create(Store.open(tmp_path), info, space_text="", space=space.model_dump(mode="json"))
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name="quick"))
    job = TrialJob(name="0000-plain", recipe=plain_of(space).recipe({}, seed=0))
    (record,) = run_trial(job, equipment, lambda stage, done, total: None)
    assert record.status == "ok", record.reason
    start, end = (equipment.objectives(point.scores) for point in record.points)
    tasks = {
        name: (record.points[0].scores[name].value, record.points[1].scores[name].value)
        for name in equipment.foundation.scorer(None).tasks
    }
    print(f"(S, G) of theta_0 {start}, of theta_1 {end}; tasks {tasks}")
    assert 100 * (end[0] - start[0]) >= 20
    assert 100 * (start[1] - end[1]) >= 8
