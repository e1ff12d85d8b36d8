"""Small drawings: marks and lines lie where their axes place them, and have their names."""

import re
from xml.etree import ElementTree

from rayforget.report.web.axes import Axis
from rayforget.report.web.panel import HEIGHT, WIDTH, Line, Panel, Series, draw

UNIT = Axis(low=0.0, high=1.0, ticks=((0.0, "0"), (0.5, "½"), (1.0, "<1>")))


def drawn(**changes: object) -> ElementTree.Element:
    given = {"x": UNIT, "y": UNIT, "x_title": "across & up", "y_title": "", "what": 'a "drawing"', **changes}
    return ElementTree.fromstring(draw(Panel(**given)))  # type: ignore[arg-type]


def places(svg: ElementTree.Element) -> dict[str, tuple[float, float]]:
    found = {}
    for mark in svg.iter("path"):
        name, where = mark.find("title"), re.findall(r"[\d.]+", mark.get("transform", ""))
        if name is not None and name.text is not None:
            found[name.text] = (float(where[0]), float(where[1]))
    return found


def test_marks_lie_where_the_axes_place_them_and_texts_are_texts() -> None:
    points = [(0.0, 0.0, "corner"), (1.0, 1.0, "<top>"), (0.5, 0.25, "middle"), (7.0, -3.0, "beyond")]
    svg = drawn(series=[Series(color="c3", symbol="diamond", points=points)])
    found = places(svg)
    (left, bottom), (right, top) = found["corner"], found["<top>"]
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < HEIGHT
    assert found["middle"] == ((left + right) / 2, bottom - (bottom - top) / 4)
    assert found["beyond"] == (right, bottom)  # cut off at the axes' ends
    assert {text.text for text in svg.iter("text")} >= {"<1>", "across & up"}
    assert svg.get("aria-label") == 'a "drawing"'


def test_a_line_of_steps_stays_level_and_pairs_are_apart() -> None:
    points = [(0.0, 0.0), (0.5, 1.0), (1.0, 0.0), (1.0, 1.0)]
    steps = drawn(lines=[Line(color="ink", points=points, steps=True)])
    (line,) = [path for path in steps.iter("path") if "line" in (path.get("class") or "")]
    assert re.sub(r"[\d. ]+", "", line.get("d") or "") == "MHVHVHV"
    pairs = drawn(lines=[Line(color="ink", points=points, pairs=True)])
    (line,) = [path for path in pairs.iter("path") if "line" in (path.get("class") or "")]
    assert re.sub(r"[\d. ]+", "", line.get("d") or "") == "MLML"


def test_of_thousands_of_marks_evenly_spread_ones_are_drawn() -> None:
    points = [(i / 3000, 0.5, f"p{i}") for i in range(3001)]
    found = places(drawn(series=[Series(color="c0", symbol="circle", points=points)]))
    assert 100 < len(found) <= 150
    assert "p0" in found
    assert max(int(name[1:]) for name in found) > 2980
