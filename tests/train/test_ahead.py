"""A step's batches are the same whoever makes them, and whenever."""

import gc
import threading
import weakref
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from train.learners import VectorLearner

from rayforget.foundations.protocol import Batch
from rayforget.space.recipe import Recipe
from rayforget.tasks.images.augment import augment, augmented, draws
from rayforget.train.ahead import Ahead, parts_of


class Raw(VectorLearner):
    """Its batches may be made ahead; notes by which threads they were."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.made = 0

    def raw(self, indices: Tensor, generator: Generator) -> Batch:
        self.threads.add(threading.current_thread().name)
        self.made += 1
        return super().batch(indices, generator)

    def finished(self, raw: Batch) -> Batch:
        return raw


RECIPE = Recipe(method="m", learning_rate=1e-2, epochs=3, batch_size=9, accumulation=3, seed=0)
STEPS = 12


def batches(threads: int, first: int = 0, learner: Any = None, last: int = STEPS) -> list[list[Batch]]:
    learner = learner or Raw()
    made = Ahead(learner, parts_of(learner, RECIPE, 5), total_steps=STEPS, threads=threads)
    return [made.of(step) for step in range(first, last)]


def assert_same(found: list[list[Batch]], expected: list[list[Batch]]) -> None:
    assert [len(step) for step in found] == [len(step) for step in expected]
    for own, other in zip(chain(*found), chain(*expected), strict=True):
        assert torch.equal(own.targets, other.targets)
        assert own.inputs.keys() == other.inputs.keys()
        assert all(torch.equal(tensor, other.inputs[name]) for name, tensor in own.inputs.items())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("first", [0, 7])
def test_batches_do_not_depend_on_threads_or_on_where_a_training_goes_on(threads: int, first: int) -> None:
    assert_same(batches(threads, first), batches(0)[first:])


def test_threads_make_them_ahead_and_none_twice() -> None:
    learner = Raw()
    batches(2, learner=learner)
    assert all(name.startswith("ahead") for name in learner.threads)
    assert learner.made == STEPS * 3  # micro-batches
    few = Raw()
    batches(2, learner=few, last=1)
    assert few.made <= 3 * 3  # two more steps at most


def test_a_learner_that_makes_only_whole_batches_makes_them_in_the_trainings_own_thread() -> None:
    assert_same(batches(2, learner=VectorLearner()), batches(0, learner=VectorLearner()))
    assert_same(batches(2, learner=VectorLearner()), batches(2))


@pytest.mark.slow
def test_a_training_that_is_dropped_leaves_neither_its_data_nor_its_threads() -> None:
    learner = Raw()
    made = Ahead(learner, parts_of(learner, RECIPE, 5), total_steps=STEPS, threads=2)
    made.of(0)
    left, threads = weakref.ref(learner), [each for each in threading.enumerate() if each.name.startswith("ahead")]
    assert threads
    del made, learner
    for thread in threads:
        thread.join(timeout=10)
    gc.collect()
    assert left() is None
    assert not any(thread.is_alive() for thread in threads)


def test_an_error_of_a_thread_is_the_steps() -> None:
    class Broken(Raw):
        def raw(self, indices: Tensor, generator: Generator) -> Batch:
            raise OSError("a disk")

    with pytest.raises(OSError, match="a disk"):
        batches(2, learner=Broken())


@pytest.mark.parametrize("kind", ["none", "flip", "crop"])
def test_what_is_drawn_first_and_applied_later_is_the_augmentation(kind: Any) -> None:
    images = torch.randint(0, 256, (9, 3, 8, 6), dtype=torch.uint8)
    drawn = draws(9, kind, Generator().manual_seed(3))
    assert torch.equal(augmented(images, kind, drawn), augment(images, kind, Generator().manual_seed(3)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the other device is a GPU")
def test_a_gpu_crops_as_a_cpu_does_up_to_one_level_of_few_pixels() -> None:
    images = torch.randint(0, 256, (16, 3, 64, 64), dtype=torch.uint8)
    drawn = draws(16, "crop", Generator().manual_seed(3))
    there = augmented(images.cuda(), "crop", drawn.cuda()).cpu()
    distance = (there.int() - augmented(images, "crop", drawn).int()).abs()
    assert distance.max() <= 1
    assert (distance > 0).float().mean() < 1e-3
