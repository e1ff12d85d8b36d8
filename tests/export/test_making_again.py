"""A training's script and its space make it again: the same recipe, the same seed, the same weights."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_sweeps import Recorded

from rayforget.errors import RecordError
from rayforget.export.one_recipe import space_file
from rayforget.export.script import reproducing_script
from rayforget.foundations.clip.kind import ClipKind
from rayforget.foundations.clip.model import load_clip
from rayforget.frontier.points import PointKey
from rayforget.interpolate.hashing import state_hash
from rayforget.record.jobs import TrialJob
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.trial.pipeline import run_trial
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord

GOLDEN = Path(__file__).parents[1] / "golden"


def record_of(recipe: Recipe, step: int = 8) -> CheckpointRecord:
    return CheckpointRecord(
        trial=f"0007-{recipe.method}",
        step=step,
        fraction=1.0,
        status="ok",
        recipe=recipe.model_dump(mode="json"),
        theta_0_hash="0" * 32,
        theta_1_hash="1" * 32,
    )


def reread(text: str, folder: Path) -> Space:
    path = folder / "again.yaml"
    path.write_text(text)
    return load_space(path).space


@pytest.mark.parametrize(("name", "seed"), [("clip", 0), ("language", 2)])
def test_a_space_file_has_the_recipe_and_all_that_it_depends_on(name: str, seed: int, tmp_path: Path) -> None:
    space = load_space(GOLDEN / f"{name}.yaml").space
    for method in methods_of(space):
        recipe = method.recipe(seed=seed)
        again = reread(space_file(space, record_of(recipe), "s", Spot(0.45)), tmp_path)
        (only,) = methods_of(again)
        assert only.recipe(seed=seed).key == recipe.key
        assert again.search.seeds == again.search.trainings == seed + 1
        assert again.search.seed == space.search.seed
        assert (again.foundation, again.tasks, again.resources) == (space.foundation, space.tasks, space.resources)
        assert set(again.curve.coarse) == {*space.curve.coarse, 0.45}
        assert again.curve.fractions == space.curve.fractions
        assert plain_of(again).recipe(seed=0).key == plain_of(space).recipe(seed=0).key


def test_plain_fine_tuning_becomes_a_method(tmp_path: Path) -> None:
    space = load_space(GOLDEN / "clip.yaml").space
    recipe = plain_of(space).recipe(seed=0)
    text = space_file(space, record_of(recipe), "s")
    assert "It was plain fine-tuning, which is trained here as a method." in text
    (only,) = methods_of(reread(text, tmp_path))
    assert only.recipe(seed=0).model_copy(update={"method": "plain"}) == recipe


@pytest.mark.parametrize("name", ["clip", "language"])
def test_a_script_is_short_and_is_python(name: str) -> None:
    space = load_space(GOLDEN / f"{name}.yaml").space
    recipe = methods_of(space)[-1].recipe(seed=0)
    script = reproducing_script(space, record_of(recipe), "s")
    assert len(script.splitlines()) <= 60
    compile(script, "again.py", "exec")
    assert "init_process_group" not in script
    assert "import ray\n" not in script
    of_two = space.model_copy(update={"resources": space.resources.model_copy(update={"workers_per_slot": 2})})
    script = reproducing_script(of_two, record_of(recipe), "s")
    assert len(script.splitlines()) <= 60
    assert "torchrun --nproc-per-node 2 again.py" in script
    assert "init_process_group" in script


@pytest.mark.parametrize(("kernel", "chosen"), [("varlen", "'varlen'"), ("dense", "None")])
def test_a_script_trains_with_the_kernels_that_the_sweep_chose(kernel: str, chosen: str) -> None:
    space = load_space(GOLDEN / "language.yaml").space
    record = record_of(methods_of(space)[-1].recipe(seed=0))
    plain = reproducing_script(space, record, "s")
    told = reproducing_script(space, replace(record, facts={"kernel": kernel}), "s")
    (line,) = set(told.splitlines()) - set(plain.splitlines())
    assert line == f"foundation.use_kernels({{'kernel': {chosen}, 'sizes_repeat': True}})"
    compile(told, "again.py", "exec")


def test_no_text_of_a_record_becomes_code_or_a_setting_of_what_makes_it_again(tmp_path: Path) -> None:
    evil = '""" + exit(7) + """\\"\nexit(7)\nfoundation: {model: stolen}\n#'
    space = load_space(GOLDEN / "clip.yaml").space
    honest = record_of(methods_of(space)[-1].recipe(seed=0))
    hardware, packages = {"cpu": evil, "torch_threads": evil}, {"torch": evil}
    hostile = replace(
        honest,
        trial=evil,
        theta_0_hash=evil,
        theta_1_hash=evil,
        provenance={"hardware": hardware, "packages": packages},
        facts={"kernel": evil},
    )
    made, expected = (ast.parse(reproducing_script(space, record, "s")) for record in (hostile, honest))
    calls = [
        [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)] for tree in (made, expected)
    ]
    assert sorted(calls[0]) == sorted([*calls[1], "foundation.use_kernels"])
    (hashes,) = [node.value for node in made.body if isinstance(node, ast.Assign) and "THETA_0" in ast.unparse(node)]
    assert ast.literal_eval(hashes) == (evil, evil)
    assert reread(space_file(space, hostile, "s"), tmp_path) == reread(space_file(space, honest, "s"), tmp_path)


@pytest.mark.slow
def test_a_script_makes_the_recorded_weights_in_a_fresh_process(pictures: Recorded, tmp_path: Path) -> None:
    record = pictures.sweep.record("0001-head", 2)
    script, weights = tmp_path / "again.py", tmp_path / "again.safetensors"
    script.write_text(reproducing_script(pictures.space, record, "small"))
    done = subprocess.run([sys.executable, script, weights], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"theta_1 has the recorded hash {record.theta_1_hash}"
    from safetensors.torch import load_file

    from rayforget.record.weights import load_weights

    kept, made = load_weights(pictures.sweep.store, record.trial, record.step), load_file(weights)
    assert kept.keys() == made.keys()
    assert all((tensor == made[name]).all() for name, tensor in kept.items())
    kind, base = ClipKind(), load_clip(pictures.space.foundation, torch.device("cpu")).theta_0
    tuned = kind.weights(kind.tuned(str(weights), pictures.space.foundation), base)  # as `interpolate` takes it
    assert state_hash(tuned) == state_hash({**base, **{name: made[name] for name in made if name in base}})


@pytest.mark.slow
def test_a_space_file_trains_the_recorded_weights(pictures: Recorded, tmp_path: Path) -> None:
    from small_sweeps import NAME

    from rayforget.record.storage.store import Store
    from rayforget.record.sweep import Sweep, SweepInfo
    from rayforget.trial.equipment import Equipment
    from rayforget.trial.equipment_spec import EquipmentSpec

    record = pictures.sweep.record("0001-head", 2)
    again = reread(space_file(pictures.space, record, NAME), tmp_path)
    storage = again.storage.model_copy(update={"path": str(tmp_path / "runs")})
    again = again.model_copy(update={"storage": storage})
    info = SweepInfo(name="again", space_name=again.name, created=0.0)
    Sweep.create(Store.open(storage.path), info, space_text="", space=again.model_dump(mode="json"))
    equipment = Equipment.open(EquipmentSpec(space=again, sweep_name="again"))
    (method,) = methods_of(again)
    made = run_trial(TrialJob(name="0000-head", recipe=method.recipe(seed=0)), equipment, lambda *_: None)[-1]
    assert made.theta_1_hash == record.theta_1_hash


def test_the_command_shows_a_training_and_prints_what_makes_it_again(pictures: Recorded, run: Any) -> None:
    storage = ("--storage", pictures.folder / "runs")
    code, text = run("trial", "small", "0001-head", *storage)
    assert code == 0
    assert "head: trained" in text
    kept = pictures.sweep.record("0001-head", 2)
    assert f"step 2 (100 %): 5 points, weights kept, theta_1 {kept.theta_1_hash}" in text
    code, script = run("trial", "small", "0001-head/2/lerp/0.5", "--script", *storage)
    assert (code, script) == (0, reproducing_script(pictures.space, kept, "small"))
    code, space = run("trial", "small", "0001-head/2/lerp/0.5", "--space", *storage)
    assert (code, space) == (0, space_file(pictures.space, kept, "small", Spot(0.5)))
    for arguments, why in (
        (("theta_0", "--script"), "theta_0 is the foundation itself"),
        (("0005-l1",), "has no training 0005-l1; it has: 0000-plain"),
        (("0001-head", "--step", "9"), "0001-head was recorded at step 2, not at 9"),
        (("0001-head", "--script", "--space"), "give one of them"),
    ):
        code, message = run("trial", "small", *arguments, *storage)
        assert code == 2
        assert why in message


def test_a_failed_training_cannot_be_made_again(pictures: Recorded, run: Any) -> None:
    from rayforget.commands.trial import print_script

    failed = CheckpointRecord(
        trial="0009-full", step=0, fraction=0.0, status="failed", reason="loss is nan", recipe={}, theta_0_hash="0" * 32
    )
    if not pictures.sweep.has("0009-full", 0):
        pictures.sweep.add(failed)
    try:
        with pytest.raises(RecordError, match="0009-full failed and has no weights: loss is nan"):
            print_script(str(pictures.folder / "runs"), "small", "0009-full", None)
    finally:
        pictures.sweep.store.delete("points/0009-full-000000.json")
    assert PointKey("0009-full", 0, 0.0).text == "0009-full/0/lerp/0.0"
