"""Sweeps from Python: light to import, the same choices as the command line, and a frontier without torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_sweep import add_tests, make_records, make_space, make_sweep, untested

import rayforget
from rayforget.errors import RayforgetError, RecordError, SpaceError
from rayforget.in_python import Results, _as_options, _loaded
from rayforget.space.shipped import quickstart


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "runs"
    space = make_space(folder, trainings=7, seeds=3)
    records, tests = make_records(trials=7, fractions=(1.0,), scale=0.1)
    sweep = make_sweep(space, "small", records, at=1.7e9)
    add_tests(sweep, untested(sweep), tests, at=1.7e9)
    (folder / "small" / "weights").mkdir()
    (folder / "small" / "weights" / "plain-1-000080.safetensors").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def results(recorded: Path) -> Results:
    return rayforget.open_sweep("small", recorded)


WITHOUT_TORCH = """
import sys
import rayforget
assert not {{"torch", "ray", "mlflow", "pydantic", "numpy"}} & set(sys.modules), "importing rayforget imports more"
for name in ("torch", "ray", "open_clip", "transformers"):
    sys.modules[name] = None  # an import of it fails
import numpy as np
from rayforget.frontier.hypervolume import hypervolume
from rayforget.frontier.nondominated import nondominated
pairs = np.array([[0.60, 0.88], [0.65, 0.87], [0.64, 0.80]])
assert nondominated(pairs).tolist() == [True, True, False]
assert abs(hypervolume(pairs, (0.60, 0.80)) - 0.05 * 0.07) < 1e-12
results = rayforget.open_sweep("small", {folder!r})
print(results.pick().point.key.text, len(results.points()))
"""


def test_a_frontier_needs_no_torch_and_importing_rayforget_imports_nothing(recorded: Path, results: Results) -> None:
    code = WITHOUT_TORCH.format(folder=str(recorded))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    point = results.pick().point
    assert point is not None
    assert done.stdout.split() == [point.key.text, str(len(results.points()))]


def test_points_are_those_of_the_record(results: Results) -> None:
    records, test = make_records(trials=7, fractions=(1.0,), scale=0.1)
    table = results.points()
    assert len(table) == sum(len(record.points) for record in records)
    record = next(record for record in records if record.trial == "t0003")
    point = next(point for point in record.points if point.alpha == 0.5)
    row = table.loc["t0003/80/lerp/0.5"]
    assert (row["trial"], row["step"], row["alpha"], row["method"]) == ("t0003", 80, 0.5, record.recipe["method"])
    for task, score in point.scores.items():
        assert row[f"val/{task}"] == score.value
    assert row["val/speciality"] == point.scores["photo"].value
    assert row["learning_rate"] == pytest.approx(record.recipe["learning_rate"], rel=1e-12)
    assert row["penalties.l2.strength"] == pytest.approx(record.recipe["penalties"][0]["strength"], rel=1e-12)
    tested = table[table["test/generality"].notna()]
    for name, of in tested.iterrows():
        scores = next(scores for key, scores in test.items() if key.text == name)
        assert of["test/sketch"] == scores["sketch"].value
    assert table["weights_kept"].sum() == (table["trial"] == "plain-1").sum()


def test_the_frontier_is_the_rows_that_no_other_beats(results: Results) -> None:
    frontier, table = results.frontier(), results.points()
    assert frontier["val/speciality"].is_monotonic_increasing
    pairs = table[["val/speciality", "val/generality"]].to_numpy()
    for name, row in frontier.iterrows():
        own = np.array([row["val/speciality"], row["val/generality"]])
        assert not ((pairs >= own).all(axis=1) & (pairs > own).any(axis=1)).any(), name
    assert list(frontier.index) == [name for name in frontier.index if table.loc[name, "frontier"]]
    assert len(frontier) == table["frontier"].sum()
    assert frontier[["val/speciality_error", "test/generality_error"]].notna().all(axis=None)


def test_a_pick_tells_why_and_whether_its_weights_are_kept(results: Results) -> None:
    picking = results.pick(max_forgetting=1)
    assert picking.point is not None
    assert picking.has_weights(picking.point)
    told = str(picking)
    assert told.startswith(picking.point.key.text)
    assert "lose at most 1 point of generality" in told
    assert "None of the" in str(results.pick(max_forgetting=-50))
    with pytest.raises(SpaceError, match="no task and no group"):
        results.pick(keep={"phto": 1})


def test_a_figure_shows_itself_in_a_notebook(results: Results) -> None:
    figure: Any = results.figure()
    assert figure.axes[0].get_xlabel().startswith("speciality")
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_sweep_that_is_not_there_is_named(recorded: Path) -> None:
    with pytest.raises(RecordError, match="small"):
        rayforget.open_sweep("smal", recorded)


def test_names_do_not_hide_packages() -> None:
    import rayforget.evaluate
    import rayforget.frontier
    import rayforget.interpolate
    import rayforget.record

    for package in (rayforget.evaluate, rayforget.frontier, rayforget.interpolate, rayforget.record):
        assert package.__name__.rpartition(".")[2] not in rayforget.__all__
    assert {*rayforget.__all__} <= {*dir(rayforget)}
    assert rayforget.open_sweep.__doc__
    with pytest.raises(AttributeError, match="open_swep"):
        rayforget.open_swep  # noqa: B018


@pytest.mark.parametrize(("code", "error"), [(1, RayforgetError), (130, KeyboardInterrupt)])
def test_a_sweep_that_does_not_end_well_raises(
    code: int, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr("rayforget.commands.sweep.start_sweep", lambda loaded, **told_of: told.append(told_of) or code)
    with pytest.raises(error, match=None if code == 130 else "open_sweep"):
        rayforget.run_sweep(storage=tmp_path / "runs")
    assert told[0]["name"].startswith("quickstart-")


def test_a_space_is_a_file_its_content_or_the_quickstart(tmp_path: Path) -> None:
    import yaml

    options = _as_options({"recipe.epochs": 3, "search.seed": 7}, 5, tmp_path / "runs")
    spaces = [_loaded(space, options).space for space in (None, quickstart(), yaml.safe_load(quickstart().read_text()))]
    assert spaces[0] == spaces[1] == spaces[2]
    assert list(spaces[0].methods) == list(spaces[2].methods)
    assert (spaces[0].search.trainings, spaces[0].search.seed) == (5, 7)
    assert spaces[0].storage.path == str(tmp_path / "runs")
    emoji = _as_options({}, None, tmp_path / "\U0001f600")
    assert _loaded(None, emoji).space.storage.path == str(tmp_path / "\U0001f600")
    with pytest.raises(SpaceError, match="space"):
        _loaded({"name": "x"}, ())
