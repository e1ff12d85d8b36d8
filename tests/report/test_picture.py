import sys
from pathlib import Path

import pytest
from PIL import Image
from summaries import KINDS, make_summary

from rayforget.report.method_styles import assign_looks
from rayforget.report.png.drawn_area import frame_points
from rayforget.report.png.picture import draw_frontier


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_of_a_sweep_can_be_drawn(kind: str, tmp_path: Path) -> None:
    draw_frontier(make_summary(kind), tmp_path / "frontier.png")
    with Image.open(tmp_path / "frontier.png") as image:
        assert (image.format, image.size) == ("PNG", (1440, 928))


def test_drawing_twice_gives_the_same_file_and_starts_no_pyplot(tmp_path: Path) -> None:
    had_pyplot = "matplotlib.pyplot" in sys.modules
    for name in ("one.png", "two.png"):
        draw_frontier(make_summary("full"), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_every_method_shows_its_color(tmp_path: Path) -> None:
    summary = make_summary("full")
    draw_frontier(summary, tmp_path / "frontier.png")
    with Image.open(tmp_path / "frontier.png") as image:
        pixels = {color for _, color in image.convert("RGB").getcolors(maxcolors=1 << 24)}
    looks = assign_looks(point.method for point in summary.points)
    for method in summary.methods:
        if method.trainings:
            color = looks[method.method].color
            assert tuple(int(color[i : i + 2], 16) for i in (1, 3, 5)) in pixels


@pytest.mark.parametrize("kind", KINDS)
def test_frame_holds_frontier_and_baselines(kind: str) -> None:
    summary = make_summary(kind)
    frame = frame_points(summary)
    for i in (*summary.frontier, *summary.theta_0.points, *(summary.plain.points if summary.plain else ())):
        point = summary.points[i]
        assert frame.left < 100 * point.speciality < frame.right
        assert frame.bottom < 100 * point.generality < frame.top
    inside = [
        frame.left <= 100 * p.speciality <= frame.right and frame.bottom <= 100 * p.generality <= frame.top
        for p in summary.points
    ]
    assert frame.outside == inside.count(False)
