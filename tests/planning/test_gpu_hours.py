"""GPU hours of a sweep, by closed form."""

from dataclasses import replace

import pytest

from rayforget.planning.counts import Counts, MethodCount
from rayforget.planning.estimate import gpu_hours
from rayforget.planning.probe import Probe, RecipeProbe
from rayforget.space.foundation import ItemWords
from rayforget.space.frozen import FrozenDict
from rayforget.space.method import Method
from rayforget.space.parts import Resources

COSTS = RecipeProbe(
    step_s=0.5,
    trained_bytes=1,
    kept_bytes=0,
    module_bytes=1,
    checkpoint_bytes=1,
    model_s=3.0,
    item_s=0.01,
    broken={},
)
PROBE = Probe(
    device="a GPU",
    threads=1,
    load_s=100.0,
    decode_s=1.0,
    item_bytes=1,
    theta_0_bytes=1,
    peak_bytes=1,
    num_val=1,
    cut_items={},
    first_items={},
    recipes={"full": COSTS, "plain": replace(COSTS, step_s=None, model_s=None, item_s=None)},
    broken={},
)
COUNTS = Counts(
    methods=tuple(
        MethodCount(
            method=Method(name=name, constants=FrozenDict(), domains=FrozenDict()),
            trainings=trainings,
            steps=(100, 300),
        )
        for name, trainings in (("full", 6), ("plain", 2))
    ),
    trainings=8,
    checkpoints=1,
    alphas=4,
    paths=1,
    searched=0,
    refine=2,
    train_items=1000,
    val_items=400,
    test_items=200,
    words=ItemWords(one="image", many="images", kept="decoded", keeping="decode an image"),
)


def test_they_are_the_seconds_of_all_trainings_times_the_gpus_of_a_slot_whatever_the_slots() -> None:
    """What is not timed counts as the slowest; start-up and decoding keep no training's GPUs."""

    def one(steps: int, models: int) -> float:
        return steps * 0.5 + models * (3 + 0.01 * 400 / 2) + 2 * (3 + 0.01 * 200 / 2)

    expected = (8 * one(100, 4) * 2 / 3600, 8 * one(300, 7) * 2 / 3600)
    for slots in (1, 3):
        found = gpu_hours(Resources(gpus_per_worker=1, workers_per_slot=2, slots=slots), COUNTS, PROBE)
        assert found == pytest.approx(expected)


def test_without_a_gpu_to_time_they_are_unknown() -> None:
    untimed = replace(PROBE, recipes={"full": PROBE.recipes["plain"]})
    assert gpu_hours(Resources(gpus_per_worker=1), COUNTS, untimed) is None
