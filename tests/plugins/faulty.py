"""Extensions that tests break, and a training that uses one."""

from collections.abc import Callable
from typing import Any

from train.learners import VectorLearner
from vector_equipment import vector_recipe

from rayforget.train.loop import train

Write = Callable[..., str]
"""(group, attribute, code) -> the name of an extension that is installed now."""

PENALTY = """
from typing import Literal
from rayforget.space.penalty import Needs
from rayforget.train.penalties.hooks import Hooks, Penalty

class ThePenalty(Penalty):
    kind: Literal["NAME"]

    def needs(self, *, lora):
        return Needs(theta_0=True)

    def prepare(self, training):
        return TheHooks(training)

class TheHooks(Hooks):
    def __init__(self, training):
        self.training = training
"""


def steps(kind: str, **changed: Any) -> None:
    recipe = vector_recipe(penalties=[{"kind": kind, "strength": 1.0}], **changed)
    list(train(VectorLearner(), recipe, seed=0, fractions=(1.0,)))
