"""What each searched value did: slices of the recipes, and importances where one value alone matters."""

import dataclasses

import numpy as np
import pytest

from rayforget.frontier.points import FrontierPoint
from rayforget.search.effects import ALPHA, CHECKPOINT, LEAST_TRAININGS, effects_of
from rayforget.space.domains import ChoiceDomain, FloatDomain
from rayforget.space.frozen import FrozenDict
from rayforget.space.method import Method, value_at

METHOD = Method(
    name="l2",
    constants=FrozenDict({}),
    domains=FrozenDict(
        {
            "learning_rate": FloatDomain(low=1e-5, high=1e-3, log=True),
            "penalties.l2.strength": FloatDomain(low=0.0, high=1.0),
            "epochs": ChoiceDomain(choice=(1, 2, 5)),
        }
    ),
)
NOTHING = Method(name="full", constants=FrozenDict({}), domains=FrozenDict({}))


def sweep(trainings: int) -> list[FrontierPoint]:
    """Speciality follows the learning rate, generality the penalty's strength; epochs do nothing, alpha little."""
    rng = np.random.default_rng(0)
    points = []
    for i in range(trainings):
        rate, strength = float(10 ** rng.uniform(-5, -3)), float(rng.uniform())
        recipe = {
            "method": "l2",
            "learning_rate": rate,
            "epochs": int(rng.choice([1, 2, 5])),
            "penalties": [{"kind": "kd", "strength": 0.3}, {"kind": "l2", "strength": strength}],
        }
        for alpha in (0.0, 0.5, 1.0):
            points.append(
                FrontierPoint(
                    trial=f"t{i:03d}", step=8, alpha=alpha, fraction=1.0, method="l2", coarse=True, recipe=recipe,
                    speciality=0.6 + 0.1 * np.log10(rate) + 0.001 * alpha,
                    generality=0.5 + 0.3 * strength - 0.001 * alpha,
                )
            )  # fmt: skip
    return points


def test_a_value_is_found_at_its_path_also_in_the_penalty_of_its_kind() -> None:
    recipe = sweep(1)[0].recipe
    assert value_at(recipe, "penalties.kd.strength") == 0.3
    assert value_at({"adapter": {"rank": 8}}, "adapter.rank") == 8
    with pytest.raises(KeyError):
        value_at(recipe, "penalties.l1.strength")


def test_slices_hold_each_trainings_own_end() -> None:
    points = sweep(3)
    (effects,) = effects_of([NOTHING, METHOD], points)
    assert [each.name for each in effects.slices] == list(METHOD.domains)
    ends = [point for point in points if point.alpha == 1]
    assert effects.ends == tuple((point.speciality, point.generality) for point in ends)
    for each in effects.slices:
        assert each.values == tuple(value_at(point.recipe, each.name) for point in ends)
    assert effects.trainings == 3


def test_a_training_with_another_recipe_than_its_methods_does_not_count() -> None:
    points = sweep(3)
    odd = [
        {**points[0].recipe, "learning_rate": 0.5},
        {name: value for name, value in points[0].recipe.items() if name != "penalties"} | {"penalties": []},
        {**points[0].recipe, "epochs": "many"},
    ]
    others = [dataclasses.replace(points[2], trial=f"odd{i}", recipe=recipe) for i, recipe in enumerate(odd)]
    assert effects_of([METHOD], [*points, *others]) == effects_of([METHOD], points)


@pytest.mark.parametrize("trainings", [0, 1, LEAST_TRAININGS - 1])
def test_few_trainings_have_no_importances(trainings: int) -> None:
    assert [each.importances for each in effects_of([METHOD], sweep(trainings))] == [{}] * (trainings > 0)


def test_the_value_that_alone_moves_an_objective_has_nearly_all_of_its_importance() -> None:
    (effects,) = effects_of([METHOD], sweep(60))
    shares = effects.importances
    assert shares.keys() == {*METHOD.domains, CHECKPOINT, ALPHA}
    assert shares["learning_rate"][0] > 0.7
    assert shares["penalties.l2.strength"][1] > 0.7
    assert shares["learning_rate"][1] < 0.2
    for objective in (0, 1):
        assert sum(pair[objective] for pair in shares.values()) == pytest.approx(1)
        assert shares[CHECKPOINT][objective] == 0  # there is one
