"""The study: conditional, balanced, told whole curves without repetition, and rebuilt from the record."""

from collections import Counter
from typing import Any

import pytest
from optuna.trial import TrialState

from rayforget.frontier.points import FrontierPoint
from rayforget.search.study import POINT_KEY, Asked, CurveStudy
from rayforget.space.domains import ChoiceDomain, FloatDomain
from rayforget.space.frozen import FrozenDict
from rayforget.space.method import Method
from rayforget.space.parts import Curve, Search

RATE = FloatDomain(low=1e-5, high=1e-3, log=True)
METHODS = (
    Method(name="full", constants=FrozenDict(), domains=FrozenDict({"learning_rate": RATE})),
    Method(
        name="lora",
        constants=FrozenDict(),
        domains=FrozenDict({"learning_rate": RATE, "adapter.rank": ChoiceDomain(choice=(2, 8))}),
    ),
)
CURVE = Curve(coarse=(0.0, 0.5, 1.0), fractions=(0.5, 1.0))


def study(**search: Any) -> CurveStudy:
    return CurveStudy(
        METHODS, search=Search.model_validate({"trainings": 24, "seed": 3, **search}), curve=CURVE, name="s"
    )


def curve(asked: Asked, best: float) -> list[FrontierPoint]:
    """Three points of the asked checkpoint, including the asked one, and theta_0."""
    values = {0.0: (0.5, 0.5), 0.5: (0.6 * best, 0.48), 1.0: (0.55 * best, 0.3), asked.alpha: (0.58 * best, 0.4)}
    step = round(10 * asked.fraction)
    return [point(asked, step, alpha, s, g) for alpha, (s, g) in sorted(values.items())]


def point(asked: Asked, step: int, alpha: float, speciality: float, generality: float) -> FrontierPoint:
    return FrontierPoint(
        trial="t",
        step=step,
        fraction=asked.fraction,
        alpha=alpha,
        method=asked.method,
        coarse=True,
        speciality=speciality,
        generality=generality,
    )


def run(some: CurveStudy, count: int) -> list[tuple[int, Asked, list[FrontierPoint]]]:
    done = []
    for number in range(count):
        asked = some.ask(number)
        points = curve(asked, 1 + asked.values["learning_rate"])
        some.tell(number, asked, points)
        done.append((number, asked, points))
    return done


def test_every_method_gets_its_share_and_only_its_own_parameters() -> None:
    done = run(study(), 12)
    assert Counter(asked.method for _, asked, _ in done) == {"full": 6, "lora": 6}
    for _, asked, _ in done:
        assert ("adapter.rank" in asked.values) == (asked.method == "lora")
        assert all(name == "method" or name.startswith(f"{asked.method}.") for name in asked.params)
        assert RATE.contains(asked.values["learning_rate"])
        assert 0 <= asked.alpha <= 1
        assert asked.fraction in CURVE.fractions


def test_left_alone_the_sampler_chooses_the_method() -> None:
    methods = [asked.method for _, asked, _ in run(study(balance="none", startup=20), 12)]
    assert methods != ["full", "lora"] * 6
    assert set(methods) == {"full", "lora"}


@pytest.mark.parametrize(("feed", "per_trial"), [("none", {1}), ("nondominated", {2}), ("all", {3})])
def test_a_curve_is_fed_as_the_space_says_and_never_alpha_0(feed: str, per_trial: set[int]) -> None:
    some = study(feed=feed)
    run(some, 6)
    keys = [trial.user_attrs[POINT_KEY] for trial in some.trials()]
    assert len(keys) == len(set(keys))
    assert set(Counter(key.split("-")[0] for key in keys).values()) == per_trial
    assert not any(key.endswith("@0") for key in keys)
    assert all(trial.state == TrialState.COMPLETE for trial in some.trials())


def test_a_failed_trial_is_told_as_failed_and_leaves_none_running() -> None:
    some = study()
    asked = some.ask(0)
    some.fail(0)
    other = some.ask(1)
    some.tell(1, other, [point(other, 1, other.alpha, float("nan"), 0.1)])
    assert asked.method != other.method
    assert [trial.state for trial in some.trials()][:2] == [TrialState.FAIL, TrialState.FAIL]
    assert not any(trial.state == TrialState.RUNNING for trial in some.trials())


def test_a_recipe_has_all_its_seeds() -> None:
    some = study(seeds=3)
    asked = [some.ask(number) for number in range(6)]
    assert [each.seed for each in asked] == [0, 1, 2, 0, 1, 2]
    assert asked[0].params == asked[1].params == asked[2].params != asked[3].params
    assert [each.method for each in asked] == ["full"] * 3 + ["lora"] * 3


@pytest.mark.parametrize(("sampler", "count"), [("tpe", 20), ("random", 20), ("nsga2", 110)])
@pytest.mark.parametrize("seeds", [1, 2])
def test_made_again_from_the_record_it_asks_what_the_living_one_asks(sampler: str, count: int, seeds: int) -> None:
    """NSGA-II has a second generation after 50 trainings, so that a parent's generation matters."""
    settings = {"startup": 3, "sampler": sampler, "seeds": seeds, "trainings": 120}
    living, again = study(**settings), study(**settings)
    for number, asked, points in run(living, count):
        again.ask_again(number, asked)
        again.tell(number, asked, points)
    assert content(again) == content(living)
    for number in range(count, count + 4):
        asked = living.ask(number)
        assert again.ask(number) == asked
        for some in (living, again):
            some.tell(number, asked, curve(asked, 1 + asked.values["learning_rate"]))


def content(some: CurveStudy) -> list[Any]:
    return [
        (trial.user_attrs[POINT_KEY], trial.values, trial.params, trial.distributions, trial.number)
        for trial in some.trials()
    ]


def test_a_failed_trial_made_again_is_a_failed_trial() -> None:
    living, again = study(), study()
    asked = living.ask(0)
    living.fail(0)
    again.ask_again(0, asked)
    again.fail(0)
    assert [trial.state for trial in again.trials()] == [trial.state for trial in living.trials()] == [TrialState.FAIL]
    assert again.ask(1) == living.ask(1)


def test_a_trial_that_is_asked_again_keeps_its_parameters() -> None:
    living, again = study(), study()
    asked = living.ask(0)
    again.ask_again(0, asked)
    again.tell(0, asked, curve(asked, 1.1))
    (first, *_) = again.trials()
    assert first.params == dict(asked.params)
    assert again.ask(1).method == living.ask(1).method


def test_the_method_that_was_asked_for_least_often_is_next_whatever_the_record_says() -> None:
    some = study()
    asked = study().ask(0)
    assert asked.method == "full"
    for number in range(3):
        some.ask_again(number, asked)
    assert [some.ask(number).method for number in range(3, 8)] == ["lora", "lora", "lora", "full", "lora"]
