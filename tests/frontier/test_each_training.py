"""Which trainings count as one, and which of a training's points represent it alone."""

from rayforget.frontier.each_training import Recipes, choose_each
from rayforget.frontier.points import FrontierPoint


def training(trial: str, rate: float, seed: int, values: dict[float, tuple[float, float]]) -> list[FrontierPoint]:
    return [
        FrontierPoint(
            trial=trial,
            step=1,
            alpha=alpha,
            fraction=1.0,
            method="l2",
            coarse=alpha != 0.6,
            speciality=pair[0],
            generality=pair[1],
            recipe={"method": "l2", "learning_rate": rate, "seed": seed},
        )
        for alpha, pair in values.items()
    ]


CURVE = {0.0: (0.1, 0.9), 0.5: (0.5, 0.8), 0.6: (0.55, 0.79), 1.0: (0.4, 0.3)}
BEST = {0.0: (0.1, 0.9), 0.5: (0.7, 0.85), 1.0: (0.9, 0.7)}


def keys(recipes: Recipes, points: list[FrontierPoint]) -> list[list[list[tuple[str, float]]]]:
    return [[[(points[i].trial, points[i].alpha) for i in own] for own in recipe] for recipe in recipes]


def test_each_training_is_chosen_from_by_itself_whatever_others_dominate_it() -> None:
    points = [*training("t2", 1e-4, 0, BEST), *training("t1", 1e-3, 0, CURVE)]
    assert keys(choose_each(points)["l2"].curve, points) == [
        [[("t1", 0.5)]],  # theta_0 again does not count, the refined alpha is not common, alpha = 1 is dominated
        [[("t2", 0.5), ("t2", 1.0)]],
    ]
    assert keys(choose_each(points)["l2"].alone, points) == [[[("t1", 1.0)]], [[("t2", 1.0)]]]
    assert list(choose_each(points)) == ["l2"]


def test_seeds_of_one_recipe_are_one_and_a_repeated_training_counts_once() -> None:
    points = [
        *training("t1", 1e-3, 0, CURVE),
        *training("t2", 1e-3, 1, CURVE),
        *training("t3", 1e-4, 0, BEST),
        *training("t4", 1e-4, 0, BEST),
    ]
    found = keys(choose_each(points)["l2"].alone, points)
    assert found == [[[("t1", 1.0)], [("t2", 1.0)]], [[("t3", 1.0)]]]


def test_of_a_single_recipe_the_seeds_are_what_differs() -> None:
    points = [*training("t1", 1e-3, 0, CURVE), *training("t2", 1e-3, 1, BEST)]
    assert keys(choose_each(points)["l2"].alone, points) == [[[("t1", 1.0)]], [[("t2", 1.0)]]]
