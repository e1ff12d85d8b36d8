"""A space file read for models that are there: what of it is used, what is not asked for, and what is told."""

import json
from pathlib import Path

import pytest
import yaml

from rayforget.errors import SpaceError
from rayforget.space.file.load import load_space
from rayforget.space.given import Given, recipe_of
from rayforget.space.given_space import GivenSpace, first_recipe, load_given, space_from
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.space.shipped import quickstart

IMAGES = {"kind": "world", "style": "photo", "count": 8}


def splits(**changed: object) -> dict[str, object]:
    return {split: IMAGES | {"split": split} | changed for split in ("val", "test")}


def tasks() -> dict[str, dict[str, object]]:
    train = IMAGES | {"split": "train"}
    return {
        "kept": {"kind": "zero_shot", "role": "generality", "group": "g", **splits(seed=1)},
        "other": {"kind": "zero_shot", "role": "speciality", "templates": ["{}"], **splits(seed=2)},
        "learnt": {"kind": "zero_shot", "role": "speciality", "templates": ["a {}"], "train": train, **splits()},
    }


def written(folder: Path, **changed: object) -> Path:
    tree = {"name": "mine", "foundation": {"kind": "clip", "model": "builtin"}, "tasks": tasks()} | changed
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def test_a_file_of_tasks_alone_will_do(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="methods"):
        load_space(written(tmp_path))
    (tmp_path / "w.pt").touch()
    space = load_given(written(tmp_path), tuned=[str(tmp_path / "w.pt")]).space
    assert isinstance(space, GivenSpace)
    assert list(space.models) == ["0000-w"]
    assert (space.plain.seeds, space.search.trainings) == (1, 0)


def test_training_sets_are_not_asked_for_and_the_trained_speciality_comes_first(tmp_path: Path) -> None:
    space = load_given(written(tmp_path)).space
    assert list(space.tasks) == ["learnt", "kept", "other"]
    assert all(task.train is None for task in space.tasks.values())
    untrained = {name: {k: v for k, v in task.items() if k != "train"} for name, task in tasks().items()}
    assert list(load_given(written(tmp_path, tasks=untrained)).space.tasks) == ["kept", "other", "learnt"]


def test_a_task_that_is_only_learnt_is_left_out(tmp_path: Path) -> None:
    source = {"kind": "language", "part": "medicine", "count": 4}
    texts = {split: source | {"split": split} for split in ("train", "val", "test")}
    kept = {"kind": "multiple_choice", "role": "generality", "group": "g", "val": texts["val"], "test": texts["test"]}
    asked = {"kind": "multiple_choice", "role": "speciality", **texts}
    learnt = {"kind": "multiple_choice", "role": "speciality", "train": texts["train"]}
    path = written(
        tmp_path,
        foundation={"kind": "causal_lm", "model": "builtin"},
        tasks={"learnt": learnt, "kept": kept, "asked": asked},
    )
    assert list(load_given(path).space.tasks) == ["kept", "asked"]


def test_the_base_takes_the_foundations_place_and_what_is_trained_none(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    path = written(
        tmp_path,
        recipe={"learning_rate": "no number"},
        methods={"full": {"no": "key"}},
        search={"trainings": 8, "seed": 5},
        curve={"coarse": [0, 0.5, 1], "fractions": [0.5, 1.0], "refine": 0},
    )
    space = load_given(path, base=("--base", str(folder)), tuned=[str(folder), "builtin"]).space
    assert space.foundation.model == f"local-dir:{folder}"
    assert (space.search.seed, space.search.trainings, space.plain.seeds) == (5, 2, 2)
    assert space.curve.coarse == (0.0, 0.5, 1.0)
    assert space.curve.fractions == (1.0,)
    assert list(space.models) == ["0000-base", "0001-builtin"]


@pytest.mark.parametrize(
    ("place", "name"),
    [("runs/a/epoch_10.pt", "epoch_10"), ("ViT-B-16:openai", "openai"), ("x/@/", "model"), ("a" * 50, "a" * 20)],
)
def test_a_model_is_called_after_its_place(
    place: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if ":" not in place:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).mkdir() if place.endswith("/") else Path(place).touch()
    assert list(load_given(written(tmp_path), tuned=[place]).space.models) == [f"0000-{name}"]  # type: ignore[attr-defined]


def test_models_of_equal_names_are_told_apart_by_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = ["logs/a/checkpoints/epoch_10.pt", "logs/b/checkpoints/epoch_10.pt", "logs/b/checkpoints/epoch_9.pt"]
    for place in (*places, "epoch_9.pt"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).touch()
    space = load_given(written(tmp_path), tuned=[*places, "epoch_9.pt", "epoch_9.pt"]).space
    names = [name.partition("-")[2] for name in space.models]  # type: ignore[attr-defined]
    assert names == ["a-epoch_10", "b-epoch_10", "epoch_9", "epoch_9", "epoch_9"]


def test_mistakes_are_told_with_the_option_or_the_line(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"^--base no/such: found 'no/such', and there is no such folder or file"):
        load_given(written(tmp_path), base=("--base", "no/such"))
    with pytest.raises(SpaceError, match=r"^--tuned no/such: found 'no/such'"):
        load_given(written(tmp_path), tuned=["no/such"])
    for odd in ("", "local-dir:~nosuchuser/x"):
        with pytest.raises(SpaceError, match=r"^--tuned ") as raised:
            load_given(written(tmp_path), tuned=[odd])
        assert "\n" not in str(raised.value)
        assert "pydantic" not in str(raised.value)
    bare = tmp_path / "bare.yaml"
    bare.write_text(yaml.safe_dump({"name": "mine", "tasks": tasks()}))
    with pytest.raises(SpaceError, match=r"bare.yaml:1: foundation: is missing; add `foundation:`"):
        load_given(bare)
    with pytest.raises(SpaceError, match=r"space.yaml:\d+: resource: unknown key; did you mean resources"):
        load_given(written(tmp_path, resource={}))
    without = {name: task for name, task in tasks().items() if task["role"] == "speciality"}
    with pytest.raises(SpaceError, match="none has role: generality"):
        load_given(written(tmp_path, tasks=without))


def test_a_recorded_space_is_read_as_what_it_is(tmp_path: Path) -> None:
    space = load_given(written(tmp_path), tuned=["builtin", "ViT-B-16:openai"]).space
    again = space_from(json.dumps(space.model_dump(mode="json")).encode())
    assert type(again) is GivenSpace
    assert again == space
    swept = load_space(quickstart()).space
    assert type(space_from(swept.model_dump_json().encode())) is Space
    assert isinstance(first_recipe(swept), Recipe)
    assert first_recipe(space) == Given(method="plain", head="frozen", models=("builtin",))


def test_a_records_recipe_is_a_trainings_or_a_given_models() -> None:
    given = Given(method="greedy_soup", head="text", models=("a", "b"))
    assert recipe_of(given.model_dump(mode="json")) == given
    recipe = Recipe(method="full", learning_rate=1e-3, epochs=1, batch_size=4, seed=0)
    assert recipe_of(recipe.model_dump(mode="json")) == recipe
