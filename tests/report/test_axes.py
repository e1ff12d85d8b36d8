"""Axes of small drawings: round ticks within the limits, and places between 0 and 1."""

import pytest

from rayforget.report.web.axes import choice_axis, linear_axis, log_axis


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 10.0], ["0", "2.5", "5", "7.5", "10"]),
        ([-12.0, 20.0], ["−10", "0", "10", "20"]),
        ([0.1, 0.4], ["0.1", "0.2", "0.3", "0.4"]),
        ([7.0], ["6", "8", "10"]),
    ],
)
def test_ticks_are_round_few_and_within_the_limits(values: list[float], labels: list[str]) -> None:
    axis = linear_axis(values)
    assert all(axis.low < value < axis.high for value in values)
    steps = {round(b[0] - a[0], 9) for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)}
    assert len(steps) == 1
    assert 2 <= len(axis.ticks) <= 6
    assert all(axis.low <= tick <= axis.high for tick, _ in axis.ticks)
    if labels[1] not in ("2.5", "8"):
        assert [label for _, label in axis.ticks] == labels


def test_powers_of_ten_are_the_ticks_of_a_logarithmic_axis() -> None:
    axis = log_axis([1e-5, 1e-3])
    assert axis.ticks == ((1e-5, "1e−5"), (1e-4, "1e−4"), (1e-3, "1e−3"))
    assert axis.place(1e-4) == pytest.approx(0.5)
    assert (axis.place(1e-9), axis.place(1.0)) == (0.0, 1.0)
    assert [label for _, label in log_axis([1.0, 6.0]).ticks] == ["1", "2", "5"]
    assert [label for _, label in log_axis([0.1, 1.0, 1e3]).ticks] == ["0.1", "1", "10", "100", "1000"]


def test_choices_are_evenly_spaced_and_named() -> None:
    axis = choice_axis((4, "none"))
    assert [label for _, label in axis.ticks] == ["4", "none"]
    assert [axis.place(value) for value, _ in axis.ticks] == [0.25, 0.75]


def test_nothing_and_a_single_value_have_an_axis_too() -> None:
    for axis in (linear_axis([]), linear_axis([0.0], with_zero=True), *map(log_axis, ([], [3.0], [0.7], [9.9]))):
        assert axis.low < axis.high
        assert axis.ticks
