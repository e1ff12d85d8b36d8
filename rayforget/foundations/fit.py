"""What another package's foundation gives, held against the protocol: what is missing is known before a sweep."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from types import FunctionType
from typing import Any, cast

from rayforget.errors import BrokenExtensionError, RayforgetError
from rayforget.evaluate.finite import NotFinite
from rayforget.extensions.use import blame
from rayforget.foundations.protocol import Batch, Foundation, Learner, Scorer
from rayforget.space.foundation import FOUNDATIONS, FoundationConfig
from rayforget.space.recipe import Recipe

_OPTIONAL = ("runs_as",)
"""What a scorer may leave out: its `identity` takes the place."""
_WORDS = {
    "score": "a list with one result for each model",
    "score for a model": "a dict of task -> Score, or rayforget.evaluate.finite.NotFinite",
}


def fitting_foundation(spec: FoundationConfig, given: object) -> Foundation:
    """What a kind gave from `with_tasks`, if it and the scorer of it have all that is asked of them.

    Raises:
        BrokenExtensionError: they have not.
    """
    foundation = cast(Foundation, _fitting(spec, "with_tasks", given, Foundation))
    _fitting(spec, "scorer", foundation.scorer(None), Scorer)
    return foundation


def fitting_learner(spec: FoundationConfig, foundation: Foundation, recipe: Recipe) -> Learner:
    """A fresh learner, if it and its batches have what is asked of them; likewise."""
    import torch

    given = cast(Learner, _fitting(spec, "learner", foundation.learner(recipe), Learner))
    if spec.kind not in FOUNDATIONS.own:
        _typed(spec, "batch", given.batch(torch.arange(1), torch.Generator().manual_seed(0)), Batch)
    return given


def fitting_scores(spec: FoundationConfig, given: Any) -> Any:
    """What a scorer gave for one model, if it is scores or `NotFinite`; likewise."""
    (scored,) = _typed(spec, "score", given, Sequence)
    return _typed(spec, "score for a model", scored, Mapping | NotFinite)


@contextmanager
def naming_the_foundation(spec: FoundationConfig) -> Iterator[None]:
    """Turns what goes wrong with something that another package's foundation gave into an error that names it.

    Raises:
        BrokenExtensionError: in the place of an error that names no extension yet.
    """
    try:
        yield
    except (AttributeError, TypeError, LookupError, ValueError) as error:  # what an object's wrong form leads to
        if spec.kind in FOUNDATIONS.own or isinstance(error, RayforgetError) or blame(error) is not None:
            raise
        last = extract_tb(error.__traceback__)[-1]
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BrokenExtensionError(
            f"{FOUNDATIONS.called(spec.kind)} gave something that cannot be used: {reason} "
            f"({Path(last.filename).name}:{last.lineno}); compare it with rayforget.foundations.protocol"
        ) from error


def _fitting(spec: FoundationConfig, method: str, given: object, protocol: type) -> object:
    lacking = [name for name, member in vars(protocol).items() if _lacks(given, name, member)]
    if not lacking:
        return given
    what = "None" if given is None else f"an object of type {type(given).__name__} without {', '.join(lacking)}"
    raise _broken(spec, method, what, protocol)


def _lacks(given: object, name: str, member: object) -> bool:
    if name.startswith("_") or name in _OPTIONAL:
        return False
    if isinstance(member, FunctionType):
        return not callable(getattr(given, name, None))
    return isinstance(member, property) and not hasattr(given, name)


def _typed(spec: FoundationConfig, method: str, given: object, wanted: Any) -> Any:
    if isinstance(given, wanted):
        return given
    raise _broken(spec, method, "None" if given is None else f"an object of type {type(given).__name__}", wanted)


def _broken(spec: FoundationConfig, method: str, what: str, wanted: Any) -> BrokenExtensionError:
    expected = _WORDS.get(method) or f"{wanted.__module__}.{wanted.__qualname__}"
    return BrokenExtensionError(f"{FOUNDATIONS.called(spec.kind)} gave {what} from {method}; expected {expected}")
