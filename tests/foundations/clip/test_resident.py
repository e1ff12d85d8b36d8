"""Sets whose pixels lie on the device give the batches and scores of those that are read, for a few bytes a step."""

from typing import Any

import pytest
import torch
from tiny_clip import TEMPLATES, random_pixels, save_clip, task

from rayforget.evaluate.pixel_stream import pixel_batches
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.learner import ClipLearner
from rayforget.foundations.clip.model import ClipModel, load_clip
from rayforget.foundations.clip.resident import Resident
from rayforget.foundations.clip.scoring.scorer import ZeroShotScorer
from rayforget.space.recipe import Recipe
from rayforget.train.ahead import Ahead, parts_of

CPU = torch.device("cpu")
CLASSES = ("dog", "house", "a guitar")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ClipModel:
    return load_clip(save_clip(tmp_path_factory.mktemp("clip")), CPU)


def test_sets_find_room_in_their_order_and_what_does_not_fit_stays_away() -> None:
    first, second, third = (random_pixels(count, 3, size=4, seed=count) for count in (5, 7, 2))
    resident = Resident(CPU, room=first.pixels.nbytes + third.pixels.nbytes)
    there = resident.of(first)
    assert there is not None
    assert torch.equal(there, torch.from_numpy(first.pixels))
    assert resident.of(second) is None
    assert resident.of(third) is not None
    assert resident.of(first) is there
    assert resident.of_all([first, second]) is None
    assert len(resident.of_all([first, third]) or ()) == 2
    assert Resident.on(CPU).of(third) is None, "a CPU reads the memory map itself"


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_batches_of_sets_on_the_device_are_those_that_are_read(batch_size: int) -> None:
    sets = [random_pixels(count, 3, size=2, seed=count) for count in (5, 1, 12)]
    there = Resident(CPU, 2**30).of_all(sets)
    for rank in range(2):
        pairs = (pixel_batches(sets, batch_size, rank=rank, world_size=2, pixels=of) for of in (None, there))
        for read, found in zip(*pairs, strict=True):
            assert torch.equal(read.pixels, found.pixels)
            assert torch.equal(read.labels, found.labels)
            assert (read.first, read.parts) == (found.first, found.parts)


@pytest.mark.parametrize("augmentation", ["none", "flip", "crop"])
def test_a_training_has_the_same_batches_for_a_few_bytes_an_image(model: ClipModel, augmentation: Any) -> None:
    vectors, speciality = ClassVectors(model), task("s", CLASSES, templates=("a {}.",))
    images = random_pixels(13, len(CLASSES))
    recipe = Recipe(
        method="m", head="frozen", learning_rate=1e-3, epochs=2, batch_size=4, seed=0, augmentation=augmentation
    )

    def learner(there: torch.Tensor | None) -> ClipLearner:
        module = build_module(model, "frozen", vectors.of_theta_0(speciality), gradient_checkpointing=False)
        return ClipLearner(
            model,
            module,
            images,
            task=speciality,
            augmentation=augmentation,
            initial=model.theta_0,
            tokens=None,
            resident=there,
        )

    read, resident = learner(None), learner(Resident(CPU, 2**30).of(images))
    for threads in (0, 2):
        made = [Ahead(each, parts_of(each, recipe, 3), total_steps=6, threads=threads) for each in (read, resident)]
        for step in range(6):
            (own,), (other,) = (each.of(step) for each in made)
            assert torch.equal(own.inputs["images"], other.inputs["images"])
            assert torch.equal(own.targets, other.targets)
    raw = resident.raw(torch.arange(4), torch.Generator())
    per_image = sum(tensor.nbytes for tensor in (*raw.inputs.values(), raw.targets)) / 4
    assert per_image <= 8 + 8 + 6 * 4, "its place, its label, its window"


def test_scores_are_the_same_and_each_set_is_moved_once(model: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {name: task(name, CLASSES, templates=TEMPLATES) for name in ("s", "g")}
    sets = {name: random_pixels(count, 3, seed=count) for name, count in (("s", 9), ("g", 6))}
    theta = {name: x + 0.01 for name, x in model.theta_0.items() if name.startswith("visual.") and x.ndim > 1}
    found = []
    moved: list[int] = []
    move = Resident._moved
    monkeypatch.setattr(Resident, "_moved", lambda self, of: moved.append(len(of.labels)) or move(self, of))
    for room in (0, 2**30):
        scorer = ZeroShotScorer(
            model,
            ClassVectors(model),
            tasks,
            lambda name, _: sets[name],
            speciality="s",
            head="frozen",
            batch_size=4,
            resident=Resident(CPU, room),
        )
        found += [scorer.score([{}, theta], "val") for _ in range(2)]
    assert moved == [9, 6, 9, 6]
    for scores in found[1:]:
        for own, other in zip(scores, found[0], strict=True):
            assert all((own[name].items == other[name].items).all() for name in tasks)  # type: ignore[index, union-attr]
