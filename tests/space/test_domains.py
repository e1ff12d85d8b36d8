"""Domains contain their ends, and exactly the values between them that they state."""

import pytest
from pydantic import ValidationError

from rayforget.space.domains import ChoiceDomain, FloatDomain, IntDomain


def test_both_ends_belong_to_a_domain() -> None:
    domain = FloatDomain(low=0.1, high=0.3)
    assert [domain.contains(value) for value in (0.1, 0.2, 0.3, 0.0999, 0.3001)] == [True, True, True, False, False]
    whole = IntDomain(low=1, high=3)
    assert [whole.contains(value) for value in (0, 1, 2, 3, 4, 1.0, 2.5)] == [False, True, True, True, False] + 2 * [
        False
    ]


def test_a_domain_may_hold_one_value() -> None:
    assert list(IntDomain(low=5, high=5).values()) == [5]
    assert FloatDomain(low=5, high=5, log=True).contains(5)
    assert ChoiceDomain(choice=("a",)).values() == ("a",)


def test_steps_start_at_low_and_end_at_high() -> None:
    domain = IntDomain(low=2, high=10, step=4)
    assert list(domain.values()) == [2, 6, 10]
    assert not domain.contains(4)


@pytest.mark.parametrize(("low", "high", "step"), [(0.0, 0.3, 0.1), (0.1, 0.7, 0.2), (1e-5, 1e-4, 1e-5)])
def test_decimal_steps_that_end_at_high_are_taken(low: float, high: float, step: float) -> None:
    assert FloatDomain(low=low, high=high, step=step).step == step


@pytest.mark.parametrize(
    "bounds",
    [
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 1, "high": 8, "log": True, "step": 1},
        {"low": 0, "high": 1, "step": 0},
        {"low": 0, "high": 10, "step": 3},
    ],
)
@pytest.mark.parametrize("kind", [FloatDomain, IntDomain])
def test_impossible_bounds_are_refused(kind: type[FloatDomain | IntDomain], bounds: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(bounds)


@pytest.mark.parametrize("bound", [float("nan"), float("inf")])
def test_ends_are_finite(bound: float) -> None:
    with pytest.raises(ValidationError):
        FloatDomain(low=0, high=bound)


def test_true_and_one_are_not_mixed_up() -> None:
    assert not IntDomain(low=0, high=1).contains(True)
    assert not FloatDomain(low=0, high=1).contains(True)
