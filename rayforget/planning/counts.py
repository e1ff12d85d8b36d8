"""A loaded space and its tasks -> the numbers of trainings, steps, evaluations and items of its sweep."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from rayforget.space.curve_paths import curve_paths
from rayforget.space.domains import ChoiceDomain, Domain, Scalar
from rayforget.space.file.load import LoadedSpace
from rayforget.space.foundation import ItemWords, rules_of
from rayforget.space.method import Method
from rayforget.space.penalty import PenaltyConfig
from rayforget.space.recipe import Recipe
from rayforget.tasks.opening import Opened
from rayforget.tasks.resolved import SplitName
from rayforget.train.schedule import num_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCount:
    """One method, or the baseline."""

    method: Method
    trainings: float
    """The number of its trainings; the mean share if the sampler chooses the method."""
    steps: tuple[int, int]
    """Fewest and most optimiser steps of a training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts of a sweep."""

    methods: tuple[MethodCount, ...]
    """In the space's order, the baseline last."""
    trainings: int
    """Number of trainings, including the baselines."""
    checkpoints: int
    """Checkpoints per training."""
    alphas: int
    """Alphas of the coarse grid; alpha 0 is theta_0, scored once for all."""
    paths: int
    """Paths scored on the whole coarse grid, including the lerp."""
    searched: int
    """Models per checkpoint chosen by inner searches of other paths."""
    refine: int
    """Most further models per checkpoint, on all paths together."""
    train_items: int
    val_items: int
    """Images or texts on which one model is scored, all tasks together."""
    test_items: int
    words: ItemWords
    """The names of the items."""

    @property
    def coarse(self) -> int:
        """Models scored per checkpoint in any case."""
        return self.alphas * self.paths + self.searched

    @property
    def models(self) -> tuple[int, int]:
        """Fewest and most models scored on `val` in one training.

        Includes the coarse grid on every path, what inner searches choose, the asked alpha, and what is refined.
        """
        return self.checkpoints * self.coarse, self.checkpoints * (self.coarse + self.refine) + 1

    @property
    def points(self) -> tuple[int, int]:
        """Fewest and most points of the sweep, including theta_0's and each curve's start, which equals it."""
        low, high = (self.trainings * (models + self.checkpoints) + 1 for models in self.models)
        return low, high

    @property
    def items(self) -> int:
        """Images or texts decoded or tokenised and kept on each node."""
        return self.train_items + self.val_items + self.test_items


def count(loaded: LoadedSpace, tasks: Opened) -> Counts:
    """Counts what the space asks for; reads no item."""
    space, paths = loaded.space, curve_paths(loaded.space.curve.paths)
    train_items = _num_items(tasks, "train")
    share = space.search.trainings / len(loaded.methods)
    if space.search.balance == "method":
        recipes, methods = divmod(space.search.trainings // space.search.seeds, len(loaded.methods))
        shares = [space.search.seeds * (recipes + (place < methods)) for place in range(len(loaded.methods))]
    else:
        shares = []
    counted = [
        MethodCount(method=method, trainings=shares[i] if shares else share, steps=_steps(method, train_items))
        for i, method in enumerate(loaded.methods)
    ]
    plain = MethodCount(method=loaded.plain, trainings=space.plain.seeds, steps=_steps(loaded.plain, train_items))
    return Counts(
        methods=(*counted, plain),
        trainings=space.search.trainings + space.plain.seeds,
        checkpoints=len(space.curve.fractions),
        alphas=len(space.curve.coarse) - 1,
        paths=len(paths.fixed),
        searched=sum(path.evaluations for path in paths.searched),
        refine=space.curve.refine,
        train_items=train_items,
        val_items=_num_items(tasks, "val"),
        test_items=_num_items(tasks, "test"),
        words=rules_of(space.foundation.kind).words,
    )


def _num_items(tasks: Opened, split: SplitName) -> int:
    return sum(task.splits[split].expected_count for task in tasks.values() if split in task.splits)


def typical_recipes(method: Method) -> tuple[Recipe, ...]:
    """Recipes that represent the costs of a method's trainings: one for each combination that changes the program.

    Each choice of words is tried (heads, precisions); for numbers the costliest is taken, for learning rates the
    lowest.
    """
    each = {path: _typical_values(path, domain) for path, domain in method.domains.items()}
    return tuple(method.recipe(dict(zip(each, values, strict=True)), seed=0) for values in product(*each.values()))


def extremes(method: Method, path: str) -> tuple[float, float]:
    """Smallest and largest number that a recipe of the method has at this path of its own fields."""
    if path in method.domains:
        low, high = _bounds(method.domains[path])
        return low, high
    value = getattr(typical_recipes(method)[0], path)
    return float(value), float(value)


def _typical_values(path: str, domain: Domain) -> tuple[Scalar, ...]:
    if isinstance(domain, ChoiceDomain) and not all(_is_number(value) for value in domain.choice):
        return tuple(domain.choice)
    low, high = _bounds(domain)
    chosen = low if path == "learning_rate" else high
    return (chosen,) if isinstance(domain, ChoiceDomain) else (type(domain.low)(chosen),)


def _bounds(domain: Domain) -> tuple[float, float]:
    if isinstance(domain, ChoiceDomain):
        numbers = [value for value in domain.choice if isinstance(value, int | float)]
        return min(numbers), max(numbers)
    return domain.low, domain.high


def _steps(method: Method, train_items: int) -> tuple[int, int]:
    epochs, batches = extremes(method, "epochs"), extremes(method, "batch_size")
    low, high = (
        num_steps(num_items=train_items, epochs=int(epoch), batch_size=int(batch))
        for epoch, batch in zip(epochs, reversed(batches), strict=True)
    )
    return low, high


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def penalty_bounds(method: Method) -> Iterator[tuple[PenaltyConfig, float, float]]:
    """Each of the method's penalties, with its smallest and largest strength."""
    for penalty in typical_recipes(method)[0].penalties:
        path = f"penalties.{penalty.kind}.strength"
        low, high = _bounds(method.domains[path]) if path in method.domains else (penalty.strength, penalty.strength)
        yield penalty, low, high
