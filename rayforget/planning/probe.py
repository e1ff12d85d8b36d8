"""A checked space -> what its model needs and how long its parts take here: a few real steps on a few real items.

Everything decoded goes to a temporary folder that is deleted afterwards.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rayforget.determinism import ask_cublas, deterministic
from rayforget.errors import BrokenExtensionError, FoundationError, SpaceError, TaskError, TrainingError
from rayforget.evaluate.finite import require_finite
from rayforget.evaluate.metric_trial import try_metrics
from rayforget.evaluate.precision import run_in
from rayforget.extensions.use import naming_the_blamed
from rayforget.foundations.fit import fitting_learner, fitting_scores, naming_the_foundation
from rayforget.foundations.kind import kind_of
from rayforget.interpolate.lerp import changed_tensors
from rayforget.interpolate.paths.fit import try_paths
from rayforget.planning.counts import Counts, MethodCount, typical_recipes
from rayforget.planning.samples import BATCH, Samples, take_samples
from rayforget.space.curve_paths import curve_paths
from rayforget.space.file.load import LoadedSpace
from rayforget.space.penalty import PENALTIES
from rayforget.space.precision import planned
from rayforget.space.recipe import Recipe
from rayforget.tasks.opening import Opened
from rayforget.train.four_bits import layers_in_4_bits
from rayforget.train.lora import is_of_adapter
from rayforget.train.penalties.prepare import needs_of
from rayforget.train.penalties.sources import FoundationSources
from rayforget.train.trainer import Trainer
from rayforget.values.scores import CUT_ITEMS

if TYPE_CHECKING:
    from rayforget.space.parts import Resources

_STEPS = 2
"""Timed steps, after one untimed."""
_LIMIT_S = 12.0
"""After this time no further kind of recipe is timed; it counts like the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeProbe:
    """The costs of one kind of recipe."""

    step_s: float | None
    """Seconds per optimiser step; None if the machine lacks the space's GPU."""
    trained_bytes: int
    """Trained weights in fp32."""
    kept_bytes: int
    """What penalties keep for them: theta_0's values, Fisher informations."""
    module_bytes: int
    """The trained copy of the model, including trained weights."""
    checkpoint_bytes: int
    """A checkpoint's weights on disk: the tensors that differ from theta_0's, merged, in fp32."""
    model_s: float | None
    """Seconds to score one model besides what its images take: its class vectors, if its text tower differs."""
    item_s: float | None
    """Seconds to score one model on one image."""
    broken: Mapping[str, Sequence[str]]
    """Task -> names of the broken images among the few decoded from its training set."""
    idle: Sequence[str] = ()
    """A sentence on each of its penalties that has no effect on a training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found on this machine."""

    device: str
    threads: int
    load_s: float
    decode_s: float
    """Seconds to decode an image, or to tokenise a text."""
    item_bytes: int
    """Size of a decoded image, or of a tokenised text."""
    theta_0_bytes: int
    peak_bytes: int
    """Peak memory of this process, including Python and its libraries."""
    num_val: int
    """Items of `val` that were looked at, all tasks together."""
    cut_items: Mapping[str, int]
    """Task -> how many of them lost the beginning of their context, which was too long for the model."""
    first_items: Mapping[str, str]
    """Task with a training set -> its first item as the model gets it, if there is something to read in one."""
    recipes: Mapping[str, RecipeProbe]
    """Method -> its costs."""
    broken: Mapping[str, Sequence[str]]
    """`tasks.photo.val` -> names of the broken images among the few that were decoded."""


def probe_space(loaded: LoadedSpace, tasks: Opened, counts: Counts) -> Probe:
    """Loads the foundation, sets every method up, and times what differs.

    Raises:
        SpaceError: names the file and line of what cannot be loaded, trained or decoded.
    """
    resources = loaded.space.resources
    wants_gpu = resources.gpus_per_worker > 0
    if wants_gpu and resources.deterministic:
        ask_cublas()
    timed = torch.cuda.is_available() or not wants_gpu
    device = torch.device("cuda", 0) if wants_gpu and timed else torch.device("cpu")
    threads_before, threads = torch.get_num_threads(), _threads(resources)
    torch.set_num_threads(threads)
    try:
        with TemporaryDirectory(prefix="rayforget-check-") as folder:
            with naming_the_foundation(loaded.space.foundation):
                samples = take_samples(loaded, tasks, device=device, folder=Path(folder))
            try:
                try_metrics(loaded.space.tasks)
                with naming_the_foundation(loaded.space.foundation):
                    samples.one.scorer(None).items_hash("val")  # one-time imports and openings do not count
                    decode_s = _seconds(lambda: samples.many.scorer(None).items_hash("val")) / samples.num_val
                    counted = samples.many.scorer(None).counted("val")
                    first_items = kind_of(loaded.space.foundation).first_items(samples.one)
                    _check_paths(loaded, samples)
                    recipes = _probe_methods(loaded, counts, samples, device, timed=timed)
                    broken = _broken(samples, recipes)
            except TaskError as error:
                raise SpaceError(f"{loaded.where(str(error).split(':', 1)[0])}: {error}") from None
    finally:
        torch.set_num_threads(threads_before)
    return Probe(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {_plural(threads, 'thread')}",
        threads=threads,
        load_s=samples.load_s,
        decode_s=decode_s,
        item_bytes=samples.many.item_bytes,
        theta_0_bytes=sum(_nbytes(tensor) for tensor in samples.many.theta_0.values()),
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        num_val=samples.num_val,
        cut_items={name: facts[CUT_ITEMS] for name, facts in counted.items() if facts.get(CUT_ITEMS)},
        first_items=first_items,
        recipes=recipes,
        broken=broken,
    )


def _check_paths(loaded: LoadedSpace, samples: Samples) -> None:
    recipe, foundation = loaded.plain.recipe(seed=0), samples.many
    try:
        try_paths(curve_paths(loaded.space.curve.paths), foundation.initial(recipe), foundation.layers(recipe))
    except SpaceError as error:
        raise SpaceError(f"{loaded.where('curve.paths')}: {error}") from None


def _broken(samples: Samples, recipes: Mapping[str, RecipeProbe]) -> dict[str, Sequence[str]]:
    """Broken images among what was decoded anyway."""
    found = {f"tasks.{task}.train": names for each in recipes.values() for task, names in each.broken.items()}
    val: Mapping[str, Sequence[str]] = samples.many.scorer(None).facts("val").get("broken", {})
    return found | {f"tasks.{task}.val": names for task, names in val.items()}


def _probe_methods(
    loaded: LoadedSpace, counts: Counts, samples: Samples, device: torch.device, *, timed: bool
) -> dict[str, RecipeProbe]:
    """The costs of the costliest recipe of each method; recipes that run the same program are tried once."""
    started, resources = time.perf_counter(), loaded.space.resources
    known: dict[object, RecipeProbe] = {}
    found: dict[str, RecipeProbe] = {}
    for counted in counts.methods:
        of_method = []
        for recipe in typical_recipes(counted.method):
            in_time = timed and time.perf_counter() - started < _LIMIT_S
            try:
                with naming_the_blamed(), deterministic(resources.deterministic):
                    kind = _kind(recipe)
                    if kind not in known:
                        known[kind] = _probe_recipe(recipe, resources, samples, device, runs=timed, timed=in_time)
            except (FoundationError, TrainingError, BrokenExtensionError) as error:
                raise SpaceError(f"{_place(loaded, counted)}: methods.{counted.method.name}: {error}") from None
            of_method.append(known[kind])
        found[counted.method.name] = max(of_method, key=lambda each: (each.step_s or 0, each.trained_bytes))
    return found


def _probe_recipe(
    recipe: Recipe, resources: "Resources", samples: Samples, device: torch.device, *, runs: bool, timed: bool
) -> RecipeProbe:
    local_batch = max(1, -(-recipe.batch_size // resources.workers_per_slot))
    batch = min(BATCH, local_batch)
    few = recipe.model_copy(update={"batch_size": batch, "accumulation": 1, "compile": False, "warmup_fraction": 0.0})
    sources = FoundationSources(samples.many, few, device, None)
    trainer = Trainer(fitting_learner(samples.spec, samples.many, few), few, seed=0, sources=sources)
    module = trainer.learner.module
    step_s = model_s = item_s = None
    foreign = any(penalty.kind not in PENALTIES.own for penalty in recipe.penalties)
    if timed or (runs and (foreign or _has_lora(recipe))):
        trainer.take_step()  # also shows whether every adapter takes part
        trainer.try_keeping()
    if timed:
        step_s = min(_seconds(trainer.take_step) for _ in range(_STEPS)) * local_batch / batch
        theta_1 = changed_tensors(samples.many.initial(recipe), trainer.theta_1())
        with run_in(planned(resources.evaluation_precision), device):
            model_s, item_s = _time_scores(recipe, theta_1, samples, device)
    in_full = {f"{name}.weight": layer.full for name, layer in layers_in_4_bits(module)}  # what they are merged into
    parameters = {**dict(module.named_parameters()), **in_full}
    trained_bytes = sum(_nbytes(p) for p in module.parameters() if p.requires_grad)
    return RecipeProbe(
        step_s=step_s,
        trained_bytes=trained_bytes,
        kept_bytes=kept_bytes(recipe, trained_bytes),
        module_bytes=sum(_nbytes(tensor) for tensor in (*module.parameters(), *module.buffers(), *in_full.values())),
        checkpoint_bytes=sum(_nbytes(p) for name, p in parameters.items() if _is_saved(name, p)),
        model_s=model_s,
        item_s=item_s,
        broken=trainer.learner.facts.get("broken", {}),
        idle=trainer.idle_penalties(),
    )


def _time_scores(
    recipe: Recipe, theta_1: Mapping[str, Tensor], samples: Samples, device: torch.device
) -> tuple[float, float]:
    """(seconds per model, seconds per model and image); if text towers differ, two sizes separate the two."""
    thetas = [{name: tensor.to(device) for name, tensor in theta_1.items()}] * 2
    seconds, items = [], []
    for prepared in (samples.one, samples.many) if recipe.head == "text" else (samples.many,):
        scorer = prepared.scorer(recipe)
        # The first makes theta_0's class vectors, once.
        scored = fitting_scores(samples.spec, scorer.score(thetas[:1], "val"))
        scores = require_finite(scored, "val", model="one step's model", advice="lower learning_rate")
        items.append(sum(len(score.items) for score in scores.values()))
        seconds.append(_seconds(lambda scorer=scorer: scorer.score(thetas, "val")) / len(thetas))  # type: ignore[misc]
    if len(items) == 1 or items[1] <= items[0] or seconds[1] <= seconds[0]:
        return 0.0, seconds[-1] / items[-1]
    item_s = (seconds[1] - seconds[0]) / (items[1] - items[0])
    return max(0.0, seconds[0] - items[0] * item_s), item_s


def _kind(recipe: Recipe) -> object:
    """What decides the cost of a training, and whether it can be set up."""
    penalties = tuple((penalty.kind, needs_of(penalty, lora=_has_lora(recipe))) for penalty in recipe.penalties)
    adapter = recipe.adapter.model_dump_json()
    switches = (recipe.precision, recipe.gradient_checkpointing, recipe.augmentation, recipe.batch_size)
    return (recipe.head, recipe.objective, adapter, penalties, *switches)


def _has_lora(recipe: Recipe) -> bool:
    return recipe.adapter.kind == "lora"


def kept_bytes(recipe: Recipe, trained_bytes: int) -> int:
    """What its penalties keep besides gradients and moments: one theta_0 for all, and each one's own.

    A LoRA's teacher keeps the start of what is trained in full beside it; the factors, which are few, count too.
    """
    needs = [needs_of(penalty, lora=_has_lora(recipe)) for penalty in recipe.penalties if penalty.strength > 0]
    return trained_bytes * (any(need.theta_0 or need.teacher for need in needs) + sum(need.further for need in needs))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _is_saved(name: str, parameter: Tensor) -> bool:
    """Whether a checkpoint holds the parameter: trained weights, and weights that an adapter is merged into."""
    if is_of_adapter(name):
        return False
    return parameter.requires_grad or name.endswith(".base_layer.weight")


def _place(loaded: LoadedSpace, counted: MethodCount) -> str:
    """The file's key for what the method adapts."""
    name = counted.method.name
    return loaded.where(f"methods.{name}" if name in loaded.space.methods else "plain")


def _threads(resources: "Resources") -> int:
    return max(1, min(int(resources.cpus_per_worker), os.cpu_count() or 1))


def _nbytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
