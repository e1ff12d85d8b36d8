"""A space file, a base and tuned models -> a space in which nothing is trained: its tasks and its curve are used.

A file that is written for sweeps will do, and so will one without `recipe`, `methods`, `plain` and `search`. Training
sets are dropped before anything looks for them, since whoever brings a model need not have what it was trained on.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, ValidationError

from rayforget.errors import FoundationError, SpaceError
from rayforget.space.checks import storage_problems
from rayforget.space.file.document import Document, read_document, read_file
from rayforget.space.file.load import LoadedSpace, checked
from rayforget.space.file.overrides import override
from rayforget.space.file.variables import interpolate
from rayforget.space.foundation import Foundation, FoundationConfig, place_of, rules_of
from rayforget.space.frozen import Frozen, FrozenDict, Name, Problem
from rayforget.space.given import SOUPS, AnyRecipe, Given
from rayforget.space.methods import PLAIN, plain_of
from rayforget.space.models import Space
from rayforget.space.parts import OpenTree, Plain, Search
from rayforget.space.tasks.checks import task_problems

_NOT_USED = ("recipe", "methods", "plain", "search")
_LONGEST_NAME = 20
"""Letters of a model's own name in that of its trial, so that tables keep their width."""


class GivenSearch(Search):
    """No trainings: each model counts as one of the baseline's seeds, each soup as a training."""

    trainings: NonNegativeInt = 0
    """Number of soups."""
    seed: NonNegativeInt = 0


class GivenSpace(Space):
    """A space in which models that are there already take the place of trainings."""

    methods: FrozenDict[Name, OpenTree] = FrozenDict()
    plain: Plain = Plain()
    search: GivenSearch = GivenSearch()
    models: FrozenDict[str, Foundation]
    """Trial -> tuned model, in the order of the trials' names; empty to score the foundation alone."""

    def problems(self) -> Iterable[Problem]:
        """Tasks that do not fit or are missing, and a storage that cannot be; recipes there are none."""
        yield from task_problems(self, trained=False)
        yield from storage_problems(self)


class _Alone(Frozen):
    foundation: Foundation


def load_given(
    path: Path, overrides: Sequence[str] = (), *, base: tuple[str, str] | None = None, tuned: Sequence[str] = ()
) -> LoadedSpace:
    """Reads the tasks of a space file, for models that are named on the command line.

    Args:
        path: the space file; its foundation says of which kind the models are.
        overrides: `key.path=value` options.
        base: the option that names the base, and its value; None takes the file's foundation.
        tuned: the tuned models as the command line has them.

    Raises:
        SpaceError: one line for everything that is wrong with the file, or with a model's name.
    """
    text = read_file(path)
    document = interpolate(override(read_document(text, str(path)), overrides), os.environ)
    like = checked(_part(document, ("foundation",)), _Alone).foundation
    rules, places = rules_of(like.kind), dict(document.places)
    start = like
    if base is not None:
        start = _named(" ".join(base), partial(rules.named, base[1], like))
        places = {at: place for at, place in places.items() if at[:1] != ("foundation",)}
        places[("foundation",)] = " ".join(base)
    models = {}
    for index, (place, short) in enumerate(zip(tuned, _short_names(tuned), strict=True)):
        name = f"{index:04d}-{short}"
        models[name] = _named(f"--tuned {place}", partial(rules.tuned, place, start))
        places[("models", name)] = f"--tuned {place}"
    tree = _tree(document.tree, start, models)
    space = checked(Document(tree=tree, places=places), GivenSpace)
    return LoadedSpace(
        path=path,
        text=text,
        overrides=tuple(overrides),
        space=space,
        methods=(),
        plain=plain_of(space),
        document=Document(tree=tree, places=places),
    )


def space_from(text: bytes) -> Space:
    """A recorded space, of trainings or of given models.

    Raises:
        ValidationError: it is neither.
    """
    try:
        tree = json.loads(text)
    except ValueError:
        tree = None  # pydantic says what is wrong
    kind = GivenSpace if isinstance(tree, dict) and "models" in tree else Space
    return kind.model_validate_json(text)


def first_recipe(space: Space) -> AnyRecipe:
    """The baseline's recipe with its first seed, or what stands in its place; decides theta_0's tensors."""
    if isinstance(space, GivenSpace):
        head: Any = rules_of(space.foundation.kind).head
        return Given(method=PLAIN, head=head, models=(place_of(space.foundation),))
    return plain_of(space).recipe(seed=0)


def _named(option: str, name: Callable[[], FoundationConfig]) -> FoundationConfig:
    try:
        return name()
    except ValidationError as error:  # a ValueError too, whose text is of many lines
        raise SpaceError(f"{option}: {' '.join(error.errors()[0]['msg'].split())}") from None
    except (FoundationError, ValueError) as error:
        raise SpaceError(f"{option}: {error}") from None


def _part(document: Document, keys: tuple[str, ...]) -> Document:
    return Document(tree={key: document.tree[key] for key in keys if key in document.tree}, places=document.places)


def _tree(tree: Mapping[str, Any], start: FoundationConfig, models: Mapping[str, FoundationConfig]) -> dict[str, Any]:
    kept = {key: value for key, value in tree.items() if key not in _NOT_USED}
    if isinstance(curve := kept.get("curve"), dict):
        kept["curve"] = {key: value for key, value in curve.items() if key != "fractions"}
    if isinstance(tasks := kept.get("tasks"), dict):
        kept["tasks"] = _without_training(tasks)
    search = tree.get("search")
    seed = search.get("seed") if isinstance(search, dict) else None
    soups = len(SOUPS) if len(models) > 1 else 0
    return {
        **kept,
        "foundation": start.model_dump(mode="json"),
        "models": {name: spec.model_dump(mode="json") for name, spec in models.items()},
        "plain": {"seeds": max(1, len(models))},
        "search": {"trainings": soups, "seed": seed if isinstance(seed, int) else 0},
    }


def _without_training(tasks: Mapping[str, Any]) -> dict[str, Any]:
    """The tasks without training sets, and without those that are nothing else.

    The first speciality's classifier and templates serve the other tasks, as the trained one's do in a sweep; so that
    one comes first.
    """
    trained = [name for name, task in tasks.items() if isinstance(task, dict) and task.get("train") is not None]
    scored = [n for n in tasks if n not in trained or {"val", "test", "cut"} & {*tasks[n]}]
    special = [n for n in scored if isinstance(tasks[n], dict) and tasks[n].get("role") == "speciality"]
    learnt = [name for name in trained if name in scored]
    if learnt and special[:1] != learnt[:1]:
        scored = [*learnt[:1], *(name for name in scored if name != learnt[0])]
    return {
        name: {key: value for key, value in tasks[name].items() if key != "train"} if name in trained else tasks[name]
        for name in scored
    }


def _short_names(places: Sequence[str]) -> list[str]:
    """The models' own names as parts of file names: `runs/a/epoch_10.pt` -> `epoch_10`.

    With `runs/b/epoch_10.pt` beside it: `a-epoch_10`, by the last folder in which those of equal names differ.
    """
    parts = [re.split(r"[/:]", re.sub(r"\.(pt|pth|bin|safetensors)$", "", place.rstrip("/"))) for place in places]
    names = []
    for own in parts:
        alike = [other for other in parts if other[-1] == own[-1]]
        depths = range(2, 1 + min(map(len, alike)))
        folder = next((own[-depth] for depth in depths if len({other[-depth] for other in alike}) > 1), None)
        name = own[-1] if folder is None else f"{folder}-{own[-1]}"
        names.append(re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[-_LONGEST_NAME:].strip("._-") or "model")
    return names
