"""A space of constants -> the hash of every theta_1 and the digest of every point's item results, as JSON.

test_golden.py starts it as a process of its own and sets what the bits depend on besides the versions:

    uv run python tests/golden/trace.py tests/golden/clip.yaml FOLDER
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score


def digest_of(scores: Mapping[str, Score]) -> str:
    """Sixteen hex digits over every task's item results in order."""
    digest = hashlib.sha256()
    for task in sorted(scores):
        score = scores[task]
        weights = b"" if score.weights is None else score.weights.tobytes()
        digest.update(f"{task}|{score.rule}|{score.items_hash}|".encode() + score.items.tobytes() + weights)
    return digest.hexdigest()[:16]


def trace_of(record: CheckpointRecord) -> dict[str, object]:
    """The parts of a checkpoint's record that must never change."""
    points = {f"{point.alpha:.6g}": digest_of(point.scores) for point in record.points}
    return {"theta_1": record.theta_1_hash, "loss": record.facts["loss"], "points": points}


def main(space_file: Path, folder: Path) -> None:
    """Trains every method once, with seed 0, and prints the results."""
    torch.set_num_threads(1)
    loaded = load_space(space_file, (f"storage.path={folder}",))
    info = SweepInfo(name="golden", space_name=loaded.space.name, created=0.0, space_digest="")
    Sweep.create(Store.open(str(folder)), info, space_text=loaded.text, space=loaded.space.model_dump(mode="json"))
    equipment = Equipment.open(EquipmentSpec(space=loaded.space, sweep_name="golden"))
    found: dict[str, object] = {}
    for number, method in enumerate(methods_of(loaded.space)):
        job = TrialJob(name=f"{number:04d}-{method.name}", recipe=method.recipe(seed=0), alpha=0.4)
        records = run_trial(job, equipment, lambda stage, done, total: None)
        assert all(record.status == "ok" for record in records), records[-1].reason
        found |= {f"{method.name} {record.fraction:g}": trace_of(record) for record in records}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
