"""A model that was not trained here, in place of the recipe of one that was."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from rayforget.space.frozen import Frozen
from rayforget.space.recipe import Head, Recipe

UNIFORM_SOUP, GREEDY_SOUP = "uniform_soup", "greedy_soup"
"""The methods of the means of several models (Wortsman et al. 2022)."""
SOUPS = (UNIFORM_SOUP, GREEDY_SOUP)


class Given(Frozen):
    """What a record states of a model that somebody else trained, or of the mean of such models.

    Nobody knows their recipe here, so it has no learning rate and no seed.
    """

    method: str
    """`plain` for a model as it was given, else the soup's name."""
    head: Head | None = None
    """Image-text models only: which class vectors score it, as with a recipe of this head."""
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Where the model lies; of a soup each of its models."""


AnyRecipe = Recipe | Given


def recipe_of(tree: Mapping[str, Any]) -> AnyRecipe:
    """A record's recipe: of a training, or of a model that was given."""
    return Given.model_validate(tree) if "models" in tree else Recipe.model_validate(tree)
