"""A recorded training -> a space of this one recipe, and the file that makes it again."""

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from rayforget.frontier.points import PLAIN
from rayforget.printable import one_line
from rayforget.space.methods import plain_of
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord

_AGAIN = "again"
"""The method's name if the training is one of plain fine-tuning, whose own name a method cannot have."""


def space_of_recipe(space: Space, recipe: Recipe, spot: Spot | None = None) -> dict[str, Any]:
    """A space that trains this recipe, and plain fine-tuning once; values at their defaults are left out.

    The training has the recipe's key and the sweep's seed, from which its own derives, so that its weights are those of
    the record. `spot`, if given, is among the alphas to be scored.
    """
    tree: dict[str, Any] = without_defaults(space)
    plain = without_defaults(plain_of(space).recipe(seed=0))
    own = {key: value for key, value in without_defaults(recipe).items() if key not in ("method", "seed")}
    curve = dict(tree.get("curve", {})) | {"refine": 0}
    if spot is not None:
        curve["coarse"] = sorted({*space.curve.coarse, spot.alpha})
    number = recipe.seed + 1
    name = _AGAIN if recipe.method == PLAIN else recipe.method
    tree |= {
        "recipe": {},
        "methods": {name: own},
        "plain": {"set": {key: value for key, value in plain.items() if key not in ("method", "seed")}, "seeds": 1},
        "search": {"trainings": number, "seeds": number, "seed": space.search.seed},
        "curve": curve,
    }
    return {key: value for key, value in tree.items() if key not in ("vars", "recipe")}


def space_file(space: Space, record: CheckpointRecord, sweep: str, spot: Spot | None = None) -> str:
    """The same as a space file, with a comment that says where it comes from."""
    recipe = Recipe.model_validate(record.recipe)
    seeds = "" if recipe.seed == 0 else f" It has seed {recipe.seed}, so that the seeds before it are trained too."
    plain = " It was plain fine-tuning, which is trained here as a method." if recipe.method == PLAIN else ""
    head = (
        f"# Makes {one_line(record.trial)} of sweep {sweep} again.{seeds}{plain}\n"
        f"# At step {record.step} theta_1 had the hash {one_line(str(record.theta_1_hash))}; the same comes out on the "
        "same machine with the same versions.\n"
    )
    text = yaml.safe_dump(space_of_recipe(space, recipe, spot), sort_keys=False, allow_unicode=True, width=110)
    return head + text


def without_defaults(model: BaseModel) -> dict[str, Any]:
    """A model's values as JSON has them, without those at their defaults; a `kind` always stays."""
    found: dict[str, Any] = _without(model, model.model_dump(mode="json"))
    return found


def _without(value: Any, written: Any) -> Any:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            name: _without(getattr(value, name), inner)
            for name, inner in written.items()
            if name == "kind"
            or fields[name].is_required()
            or getattr(value, name) != fields[name].get_default(call_default_factory=True)
        }
    if isinstance(value, Mapping):
        return {name: _without(value[name], inner) for name, inner in written.items()}
    if isinstance(value, list | tuple):
        return [_without(one, inner) for one, inner in zip(value, written, strict=True)]
    return written
