"""Counts and a probe -> memory, disk and time of a sweep; every sum names its parts."""

from collections.abc import Iterator
from dataclasses import dataclass

from rayforget.planning.counts import Counts, MethodCount
from rayforget.planning.probe import Probe, RecipeProbe
from rayforget.space.models import Space
from rayforget.space.parts import Resources

START_UP_S = 45.0
"""Start-up of Ray and a slot's worker group, once per sweep: assumed, not measured."""
_TESTS_PER_TRAINING = 2
"""Points per training that the report scores on `test`: assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that one worker holds, for the method that needs most."""

    theta_0: int
    """On the host, and once more on a GPU."""
    module: int
    """The copy that is trained."""
    training: int
    """Gradients and AdamW's two moments, each as large as the trained weights, and what penalties keep."""
    resident: int
    """Fine-tuned weights, and the interpolated models that share a pass over the images."""

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.theta_0 + self.module + self.training + self.resident


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a sweep takes."""

    memory: Memory
    cache_bytes: int
    """Bytes of decoded images per node."""
    weights_bytes: int
    """Bytes of all checkpoints' weights."""
    kept_bytes: int
    """Most bytes of weights that stay."""
    state_bytes: int
    """Bytes of the largest state to go on from: the trained weights and AdamW's two moments."""
    slots: int
    """The number of the space's slots that this machine's cores hold at once."""
    seconds: tuple[float, float] | None
    """With the fewest and with the most steps and models; None if nothing could be timed."""


def estimate(space: Space, counts: Counts, probe: Probe, *, cores: int) -> Estimate:
    """The estimate from counts and probe, for a machine with this many cores."""
    slots = _slots(space.resources, cores)
    checkpoints = sum(
        counted.trainings * counts.checkpoints * probe.recipes[counted.method.name].checkpoint_bytes
        for counted in counts.methods
    )
    return Estimate(
        memory=max(
            (_memory(space.resources, counts, probe, recipe) for recipe in probe.recipes.values()),
            key=lambda memory: memory.total,
        ),
        cache_bytes=counts.items * probe.item_bytes,
        weights_bytes=round(checkpoints),
        kept_bytes=round(min(checkpoints, space.storage.keep.max_gib * 2**30)),
        state_bytes=max(3 * recipe.trained_bytes for recipe in probe.recipes.values()),
        slots=slots,
        seconds=_seconds(space.resources, counts, probe, slots),
    )


def _slots(resources: Resources, cores: int) -> int:
    per_slot = resources.workers_per_slot * resources.cpus_per_worker
    return max(1, min(resources.slots, int(cores // per_slot)))


def _memory(resources: Resources, counts: Counts, probe: Probe, recipe: RecipeProbe) -> Memory:
    fitting = max(1, int(resources.resident_gib * 2**30) // max(1, recipe.checkpoint_bytes))
    return Memory(
        theta_0=probe.theta_0_bytes * (1 if resources.gpus_per_worker == 0 else 2),
        module=recipe.module_bytes,
        training=3 * recipe.trained_bytes + recipe.kept_bytes,
        resident=(1 + min(fitting, counts.coarse + 1)) * recipe.checkpoint_bytes,
    )


def _seconds(resources: Resources, counts: Counts, probe: Probe, slots: int) -> tuple[float, float] | None:
    known = [recipe for recipe in probe.recipes.values() if recipe.step_s is not None]
    if not known:
        return None
    slowest = max(known, key=lambda recipe: recipe.step_s or 0.0)
    once = START_UP_S + probe.load_s + counts.items * probe.decode_s
    low, high = (sum(_trainings_s(resources, counts, probe, slowest, extreme)) / slots for extreme in (0, 1))
    return once + low, once + high


def _trainings_s(
    resources: Resources, counts: Counts, probe: Probe, slowest: RecipeProbe, extreme: int
) -> Iterator[float]:
    """Seconds of each method's trainings with their evaluations, one after another."""
    for counted in counts.methods:
        recipe = probe.recipes[counted.method.name]
        recipe = recipe if recipe.step_s is not None else slowest
        yield counted.trainings * training_s(resources, counts, counted, recipe, extreme)


def training_s(resources: Resources, counts: Counts, counted: MethodCount, recipe: RecipeProbe, extreme: int) -> float:
    """Seconds of one training: steps, models on `val`, and its share of the models on `test`."""
    step_s, model_s, item_s = recipe.step_s or 0.0, recipe.model_s or 0.0, recipe.item_s or 0.0
    workers = resources.workers_per_slot
    val = counts.models[extreme] * (model_s + item_s * counts.val_items / workers)
    test = _TESTS_PER_TRAINING * (model_s + item_s * counts.test_items / workers)
    return counted.steps[extreme] * step_s + val + test
