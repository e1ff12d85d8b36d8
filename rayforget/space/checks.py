"""Rules between the parts of a space: each yields the problems that it finds, at the key to change."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rayforget.extensions.use import naming_the_blamed
from rayforget.space.domains import ChoiceDomain, IntDomain, Scalar
from rayforget.space.frozen import Problem
from rayforget.space.method import Method
from rayforget.space.methods import PLAIN, baseline, methods_of, overlaid, plain_of
from rayforget.space.paths import has_file_system, is_uri
from rayforget.space.penalty import PenaltyConfig, given_by
from rayforget.space.recipe import Recipe, repeated
from rayforget.space.tasks.checks import recipe_misfits, sharding_misfits, task_problems

if TYPE_CHECKING:
    from rayforget.space.parts import SpaceParts
    from rayforget.space.tasks.any_task import Task

_RESERVED = {PLAIN: "the baseline", "all": "all methods together", "theta_0": "the pretrained model"}
_REQUIRED = [
    name for name, info in Recipe.model_fields.items() if info.is_required() and name not in ("method", "seed")
]


def space_problems(space: "SpaceParts") -> Iterator[Problem]:
    """All problems between the parts."""
    yield from task_problems(space)
    yield from recipe_misfits(space)
    yield from sharding_misfits(space)
    yield from storage_problems(space)
    incomplete = [*_method_gaps(space), *_plain_gaps(space)]
    yield from incomplete
    if not incomplete:
        for method in (*methods_of(space), plain_of(space)):
            yield from _recipe_problems(space, method)


def without_effect(space: "SpaceParts") -> Iterator[Problem]:
    """Settings in the file that nothing will read."""
    search, tracking = space.search, space.tracking
    if search.sampler == "random" and "startup" in search.model_fields_set:
        yield Problem(
            at=("search", "startup"), text="has no effect with sampler: random, which is all start-up: remove it"
        )
    if search.sampler != "tpe" and "feed" in search.model_fields_set and search.feed != "none":
        text = f"found {search.feed} with sampler: {search.sampler}, which cannot be fed: write none, or sampler: tpe"
        yield Problem(at=("search", "feed"), text=text)
    if space.storage.shared and is_uri(space.storage.path):
        text = f"has no effect with path: {space.storage.path}, which every node reaches: remove it"
        yield Problem(at=("storage", "shared"), text=text)
    if not tracking.enabled and tracking.uri is not None:
        yield Problem(at=("tracking", "uri"), text="has no effect with enabled: false: remove one of them")


def storage_problems(space: "SpaceParts") -> Iterator[Problem]:
    """A storage path that is no file system."""
    if is_uri(space.storage.path) and not has_file_system(space.storage.path):
        text = f"found {space.storage.path}: there is no such file system; write a local folder, s3://BUCKET/... or gs://BUCKET/..."
        yield Problem(at=("storage", "path"), text=text)


def _method_gaps(space: "SpaceParts") -> Iterator[Problem]:
    for name, own in space.methods.items():
        if name in _RESERVED:
            text = f"{name} is the report's own word for {_RESERVED[name]}; give this method another name"
            yield Problem(at=("methods", name), text=text)
        tree = overlaid(space.recipe, own)
        for kind in repeated(penalty["kind"] for penalty in tree.get("penalties", ())):
            at = ("methods", name) if "penalties" in own else ("recipe",)
            yield Problem(at=(*at, "penalties", kind), text=f"found more than one of kind {kind}; write one")
        for key in _REQUIRED:
            if key not in tree:
                text = f"is set neither here nor in recipe; add `{key}:` to one of them ({_about(key)})"
                yield Problem(at=("methods", name, key), text=text)


def _plain_gaps(space: "SpaceParts") -> Iterator[Problem]:
    common = baseline(space.recipe)
    for key in sorted({*_REQUIRED, *common}):
        if key not in space.plain.set and (key not in common or isinstance(common[key], Mapping)):
            found = "is a domain in recipe" if key in common else "is not set in recipe"
            text = f"{found} and the baseline needs one value; add `{key}:` under plain.set ({_about(key)})"
            yield Problem(at=("plain", "set", key), text=text)


def _about(key: str) -> str:
    return (Recipe.model_fields[key].description or key).rstrip(".")


def _recipe_problems(space: "SpaceParts", method: Method) -> Iterator[Problem]:
    """Recipe's problems with the method at either end of its domains, and its workers' with its batches."""
    seen: set[tuple[str | int, ...]] = set()
    splits = {name: _splits_to_learn_from(task) for name, task in space.tasks.items()}
    for end in (0, -1):
        values = {path: _end(domain, end) for path, domain in method.domains.items()}
        try:
            recipe = method.recipe(values, seed=0)
            for penalty in recipe.penalties:
                for problem in _misfits(penalty, splits):
                    at = ("penalties", penalty.kind, *problem.at)
                    if at not in seen:
                        seen.add(at)
                        yield Problem(at=_origin(space, method, at), text=problem.text)
        except ValidationError as error:
            for it in error.errors():
                if it["loc"] not in seen and it["loc"] != ("accumulation",):
                    seen.add(it["loc"])
                    yield Problem(at=_origin(space, method, it["loc"]), text=it["msg"])
    yield from _batch_problems(space, method)


@naming_the_blamed()  # a ValueError would be taken for one of the file's
def _misfits(penalty: PenaltyConfig, splits: Mapping[str, Collection[str]]) -> list[Problem]:
    found = given_by(penalty, "misfits", penalty.misfits(splits), Iterable)  # type: ignore[type-abstract]
    return [given_by(penalty, "misfits", problem, Problem) for problem in found]


def _splits_to_learn_from(task: "Task") -> tuple[str, ...]:
    """The task's splits except `test`, which only the report reads."""
    given = {"train": task.train is not None, "val": task.val is not None or task.cut is not None}
    return tuple(split for split, there in given.items() if there)


def _batch_problems(space: "SpaceParts", method: Method) -> Iterator[Problem]:
    workers = space.resources.workers_per_slot
    for accumulation in _values(method, "accumulation"):
        batch_sizes = _values(method, "batch_size")
        # Two values of a range suffice: its step is their difference.
        for batch_size in batch_sizes[:2] if isinstance(batch_sizes, range) else batch_sizes:
            if batch_size % (workers * accumulation):
                text = (
                    f"found {batch_size} with accumulation {accumulation} and resources.workers_per_slot {workers}; "
                    f"each worker's micro-batches must be equal: make batch_size a multiple of {workers * accumulation}"
                )
                yield Problem(at=_origin(space, method, ("batch_size",)), text=text)
                return


def _values(method: Method, key: str) -> Sequence[int]:
    """The whole numbers that the field may have."""
    match method.domains.get(key):
        case IntDomain() as domain:
            return domain.values()
        case ChoiceDomain(choice=choice):
            return [value for value in choice if isinstance(value, int)]
        case _:
            return [method.constants.get(key, Recipe.model_fields[key].default)]


def _end(domain: Any, end: int) -> Scalar:
    if isinstance(domain, ChoiceDomain):
        return domain.choice[end]
    value: Scalar = (domain.low, domain.high)[end]
    return value


def _origin(space: "SpaceParts", method: Method, at: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where the file sets the key: in the method, else in recipe; the method if neither does."""
    own: tuple[str | int, ...] = ("plain", "set") if method.name == PLAIN else ("methods", method.name)
    tree = space.plain.set if method.name == PLAIN else space.methods[method.name]
    return ("recipe", *at) if at and at[0] not in tree and at[0] in space.recipe else (*own, *at)
