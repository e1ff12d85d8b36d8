import numpy as np
import pytest

from rayforget.errors import RecordError
from rayforget.frontier.recovered import recovered

THETA_0, PLAIN = (0.6, 0.5), (0.8, 0.4)


def test_the_whole_gain_without_any_loss_is_1() -> None:
    found = recovered(np.array([[PLAIN[0], THETA_0[1]]]), theta_0=THETA_0, plain=PLAIN)
    assert found.value == pytest.approx(1.0, rel=1e-15)
    assert found.box == pytest.approx(0.2 * 0.1)


def test_the_baselines_themselves_recover_nothing() -> None:
    found = recovered(np.array([THETA_0, PLAIN]), theta_0=THETA_0, plain=PLAIN)
    assert found.value == pytest.approx(0.0, abs=1e-15)


def test_no_points_recover_nothing() -> None:
    assert recovered(np.empty((0, 2)), theta_0=THETA_0, plain=PLAIN).value == 0.0


def test_better_than_both_baselines_exceeds_1() -> None:
    found = recovered(np.array([[0.9, 0.6]]), theta_0=THETA_0, plain=PLAIN)
    assert found.value == pytest.approx((0.3 * 0.2) / (0.2 * 0.1))


def test_does_not_change_with_the_unit_of_either_axis() -> None:
    values = np.random.default_rng(0).random((7, 2))
    scale = np.array([100.0, 0.01])
    scaled = recovered(values * scale, theta_0=(60.0, 0.005), plain=(80.0, 0.004))
    assert scaled.value == pytest.approx(recovered(values, theta_0=THETA_0, plain=PLAIN).value, rel=1e-12)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ((0.6, 0.4), "gained only 0.0 points of speciality"),
        ((0.55, 0.4), "tuning lost 5.0 points of speciality"),
        ((0.8, 0.5), "lost only 0.0 points of generality"),
        ((0.8, 0.52), "tuning gained 2.0 points of generality"),
    ],
)
def test_without_a_trade_it_is_undefined_and_the_area_stands_alone(plain: tuple[float, float], words: str) -> None:
    found = recovered(np.array([[0.9, 0.9]]), theta_0=THETA_0, plain=plain)
    assert found.value is None
    assert found.reason is not None
    assert words in found.reason
    assert found.box == pytest.approx(0.0, abs=1e-15)
    assert found.hypervolume == pytest.approx((0.9 - THETA_0[0]) * (0.9 - plain[1]))


def test_a_difference_within_its_error_is_no_trade() -> None:
    values = np.array([[0.8, 0.5]])
    assert recovered(values, theta_0=THETA_0, plain=PLAIN, errors=(0.19, 0.09)).value is not None
    assert recovered(values, theta_0=THETA_0, plain=PLAIN, errors=(0.21, 0.09)).value is None
    assert recovered(values, theta_0=THETA_0, plain=PLAIN, errors=(0.19, 0.11)).value is None


def test_published_wise_ft_points_bound_the_published_curve() -> None:
    # WiSE-FT (arXiv 2109.01903), CLIP B/16, ImageNet against the mean of five shifts, in percent: the whole curve has
    # 137 pp2 above (68.3, 53.8) and recovers 2.45. Two of its points, and the best of each column, enclose that.
    theta_0, plain = (68.3, 58.1), (81.3, 53.8)
    two = recovered(np.array([theta_0, (81.7, 63.0), (82.5, 60.6), plain]), theta_0=theta_0, plain=plain)
    corner = recovered(np.array([(82.6, 63.5)]), theta_0=theta_0, plain=plain)
    assert two.box == pytest.approx(13.0 * 4.3)
    assert two.hypervolume == pytest.approx((81.7 - 68.3) * (63.0 - 53.8) + (82.5 - 81.7) * (60.6 - 53.8))
    assert two.hypervolume < 137 < corner.hypervolume
    assert two.value is not None
    assert corner.value is not None
    assert two.value < 2.45 < corner.value
    assert pytest.approx(2.45, abs=0.005) == 137 / two.box


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(RecordError, match="finite"):
        recovered(np.array([[np.nan, 0.5]]), theta_0=THETA_0, plain=PLAIN)
    with pytest.raises(RecordError, match="finite"):
        recovered(np.array([[0.7, 0.5]]), theta_0=(np.nan, 0.5), plain=PLAIN)
