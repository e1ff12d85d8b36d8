"""WiSE-FT's own curve, as published, through our frontier: the figures follow from the paper's digits by hand."""

import numpy as np
import pytest

from rayforget.frontier.choose import choose_frontier
from rayforget.frontier.hypervolume import hypervolume
from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint
from rayforget.frontier.progress import recovered_now
from rayforget.frontier.recovered import recovered

CURVE = np.array(
    [
        (68.3, 58.1), (72.9, 60.8), (76.4, 62.5), (78.9, 63.3), (80.5, 63.5), (81.7, 63.0),
        (82.4, 61.9), (82.6, 60.6), (82.5, 58.9), (82.1, 56.6), (81.3, 53.8),
    ]
)  # fmt: skip
"""Top-1 in percent on ImageNet and on the mean of five distribution shifts at alpha = 0, 0.1, ..., 1: CLIP ViT-B/16,
fine-tuned end to end (Wortsman et al. 2022, arXiv 2109.01903, appendix)."""
SHARES = CURVE / 100


def test_alpha_04_to_07_are_not_dominated() -> None:
    assert np.flatnonzero(nondominated(SHARES)).tolist() == [4, 5, 6, 7]


def test_hypervolume_and_recovered_are_those_of_the_papers_digits() -> None:
    zero_shot, tuned = (tuple(map(float, SHARES[end])) for end in (0, -1))
    assert 1e4 * hypervolume(SHARES, (zero_shot[0], tuned[1])) == pytest.approx(136.41, abs=1e-9)
    found = recovered(SHARES, theta_0=zero_shot, plain=tuned)  # type: ignore[arg-type]
    assert 1e4 * found.box == pytest.approx(13.0 * 4.3)
    assert found.value == pytest.approx(136.41 / 55.9)
    assert f"{found.value:.3f}" == "2.440"


def test_the_same_comes_out_of_a_sweeps_points() -> None:
    """One training of the baseline with this curve: the frontier of a sweep with it alone."""
    common = {"step": 1, "fraction": 1.0, "coarse": True}
    points = [
        FrontierPoint(trial="0", alpha=i / 10, method=PLAIN, speciality=s, generality=g, **common)  # type: ignore[arg-type]
        for i, (s, g) in enumerate(SHARES.tolist())
    ]
    start = FrontierPoint(
        trial=THETA_0, step=0, alpha=0.0, fraction=0.0, method=THETA_0, coarse=True,
        speciality=points[0].speciality, generality=points[0].generality,
    )  # fmt: skip
    assert [points[i].alpha for i in choose_frontier(points)] == [0.4, 0.5, 0.6, 0.7]
    found = recovered_now([start, *points], lambda theta_0, plain: (0.0, 0.0))
    assert found is not None
    assert found.value == pytest.approx(2.440, abs=5e-4)
