"""Unit class vectors -> logits and predictions; one set also serves tasks on some of its classes, or groups of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rayforget.evaluate.precision import finely
from rayforget.tasks.resolved import ResolvedTask

Groups = tuple[tuple[int, ...], ...]
"""Per label, the rows of its class vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Scores a label by the best of its vectors."""

    vectors: Float[Tensor, "rows d"]
    groups: Int[Tensor, "labels g"] | None
    """Per label its rows, shorter lists padded with their first; None if row c is label c."""

    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n labels"]:
        """Per label the largest inner product of one of its vectors with the feature."""
        with finely(features.device):
            logits = features @ self.vectors.T
        return logits if self.groups is None else logits[:, self.groups].amax(dim=-1)

    def predict(self, features: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The label whose best vector has the largest inner product with the feature."""
        return self.logits(features).argmax(dim=-1)


def restrict(vectors: Float[Tensor, "rows d"], groups: Groups | None) -> Classifier:
    """The classifier of a task whose label c has the rows `groups[c]`; None means that label c has row c."""
    if groups is None or groups == tuple((row,) for row in range(len(vectors))):
        return Classifier(vectors=vectors, groups=None)
    if all(len(rows) == 1 for rows in groups):
        chosen = torch.tensor([rows[0] for rows in groups], device=vectors.device)
        return Classifier(vectors=vectors[chosen], groups=None)
    return Classifier(vectors=vectors, groups=filled(groups).to(vectors.device))


def filled(groups: Groups) -> Int[Tensor, "labels g"]:
    """Every label's rows, shorter lists padded with their first, which leaves their maximum unchanged."""
    longest = max(len(rows) for rows in groups)
    return torch.tensor([[*rows, *[rows[0]] * (longest - len(rows))] for rows in groups])


def groups_within(task: ResolvedTask, speciality: ResolvedTask) -> Groups | None:
    """The speciality's rows for each of a task's labels; None if its classifier does not serve the task.

    It serves a task if it has all of its classes and the task asks for no prompts of its own.
    """
    rows = task.indices_within(speciality)
    if rows is None or task.templates != speciality.templates:
        return None
    if task.class_groups is None:
        return tuple((row,) for row in rows)
    return tuple(tuple(rows[name] for name in group) for group in task.class_groups)
