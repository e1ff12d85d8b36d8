"""The page in a real browser: what it shows, by mouse and by keyboard, on a phone, in the dark, and on paper."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import open_browser
from summaries import full_of_remarks, make_findings, make_paths_summary, make_summary

from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.summary import Summary
from rayforget.report.web.page import page_of
from rayforget.report.words.numbers import headline_pick, percent

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.slow

SUMMARY = full_of_remarks(make_paths_summary())


@pytest.fixture(scope="module")
def browser() -> Iterator["Chrome"]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "frontier.html"
    path.write_text(page_of(make_findings(SUMMARY, "several paths")), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: "Chrome", file: Path) -> Iterator["Chrome"]:
    """The page on a desk by day."""
    yield show(browser, file)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def show(browser: "Chrome", file: Path, *, width: int = 1200, dark: bool = False, media: str = "") -> "Chrome":
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    browser.get(file.as_uri())
    return browser


def ask(page: "Chrome", expression: str) -> Any:
    return page.execute_script(f"return {expression}")


def ink_of_the_cloud(page: "Chrome") -> int:
    """How much is painted on the canvas."""
    return int(
        ask(
            page,
            "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.reduce((a, b) => a + b, 0))"
            "(document.getElementById('cloud'))",
        )
    )


def walked(page: "Chrome") -> list[str]:
    """The walk's column of scores at its alpha."""
    found: list[str] = ask(page, "[...document.querySelectorAll('#walk tbody tr')].map(r => r.children[2].textContent)")
    return found


def expected(point: FrontierPoint) -> list[str]:
    values = [point.speciality, point.generality, *(point.tasks[role.name] for role in SUMMARY.roles)]
    return [percent(value) for value in values]


def press(page: "Chrome", key: str) -> None:
    from selenium.webdriver.common.keys import Keys

    page.switch_to.active_element.send_keys(getattr(Keys, key))


def test_the_chart_shows_the_frontier_every_point_and_the_groups_that_its_legend_leaves_on(page: "Chrome") -> None:
    assert ask(page, "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    drawn = "[...document.querySelectorAll('#frontier .trace')].filter(t => t.querySelector('.point')).length"
    marks = (
        "Math.max(...[...document.querySelectorAll('#frontier .trace')].map(t => t.querySelectorAll('.point').length))"
    )
    assert ask(page, marks) == len(SUMMARY.frontier)
    before, traces = ink_of_the_cloud(page), ask(page, drawn)
    key = page.find_element("css selector", "#legend button[data-group=l2]")
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    without = ink_of_the_cloud(page)
    assert 0 < without < before
    page.find_element("css selector", "#legend button[data-all=off]").click()
    assert ink_of_the_cloud(page) == 0
    page.find_element("css selector", "#legend button[data-all=on]").click()
    assert ink_of_the_cloud(page) == before
    page.find_element("css selector", "#legend button[data-group=':test']").click()
    assert ask(page, drawn) == traces + 1


@pytest.mark.parametrize("width", [690, 1200])
def test_the_picks_label_lies_on_no_mark_and_beside_the_buttons(browser: "Chrome", file: Path, width: int) -> None:
    page = show(browser, file, width=width)
    over = """
    const box = e => document.querySelector(e).getBoundingClientRect(), label = box('#frontier .annotation-text-g');
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const marks = [...document.querySelectorAll('#frontier .point')].map(e => e.getBoundingClientRect());
    const { _size: size, xaxis, yaxis } = page.chart._fullLayout, chart = page.chart.getBoundingClientRect();
    for (const [xs, ys] of cloud.places) for (let i = 0; i < xs.length; i++) {
      const x = chart.x + size.l + xaxis.l2p(xs[i]), y = chart.y + size.t + yaxis.l2p(ys[i]);
      marks.push({ left: x, right: x, top: y, bottom: y });
    }
    return [marks.length, marks.filter(mark => meet(mark, label)).length, meet(label, box('#frontier .modebar')),
      meet(box('#frontier .modebar'), box('#frontier .nsewdrag'))];
    """
    num_marks, *met = page.execute_script(over)
    assert num_marks > len(SUMMARY.points) / 2
    assert met == [0, False, False]


def test_the_walk_is_in_the_legend_by_its_trainings_name_and_can_be_switched_off(page: "Chrome") -> None:
    picked = headline_pick(SUMMARY)
    assert picked is not None
    key = page.find_element("css selector", "#legend button[data-group=':walk']")
    assert key.text == f"walk along {SUMMARY.points[picked.index].trial}"
    shapes = "document.querySelectorAll('#frontier .shapelayer path').length"
    assert ask(page, shapes) > 1
    key.click()
    assert ask(page, shapes) == 0
    page.find_element("css selector", f"button[data-point='{SUMMARY.points[SUMMARY.frontier[0]].key.text}']").click()
    assert key.text == f"walk along {SUMMARY.points[SUMMARY.frontier[0]].trial}"
    assert ask(page, shapes) == 0, "it stays off"
    key.click()
    assert ask(page, shapes) > 1


def test_a_mark_below_the_mouse_tells_its_recipe_and_every_task(page: "Chrome") -> None:
    """Also one of those on the canvas, which are no elements of the page."""
    frontier = {(SUMMARY.points[i].speciality, SUMMARY.points[i].generality) for i in SUMMARY.frontier}
    alone = [
        p for p in SUMMARY.points if p.method == "l2" and p.alpha > 0 and (p.speciality, p.generality) not in frontier
    ]
    point = min(alone, key=lambda p: p.generality)
    place = """
    const { _size: size, xaxis, yaxis } = page.chart._fullLayout, box = page.chart.getBoundingClientRect();
    return [box.x + size.l + xaxis.l2p(arguments[0]), box.y + size.t + yaxis.l2p(arguments[1])];
    """
    x, y = page.execute_script(place, 100 * point.speciality, 100 * point.generality)
    for near in (8, 0):  # the mouse has to come from somewhere
        page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x + near, "y": y})
        time.sleep(0.1)
    said = ask(page, "document.querySelector('#frontier .hoverlayer').textContent")
    assert f"trial {point.trial}," in said
    assert f"α = {point.alpha:g}" in said
    assert "learning_rate: " in said
    for role in SUMMARY.roles:
        assert f"{role.name} {percent(point.tasks[role.name])}" in said


@pytest.mark.parametrize("kind", ["theta_0 alone", "no plain", "no bootstrap", "one seed"])
def test_a_sweep_that_has_little_has_a_page_without_errors(browser: "Chrome", tmp_path: Path, kind: str) -> None:
    path = tmp_path / "little.html"
    path.write_text(page_of(make_findings(make_summary(kind), kind)), encoding="utf-8")
    browser.get_log("browser")
    page = show(browser, path)
    assert ask(page, "document.querySelectorAll('#frontier .main-svg').length") > 0
    assert ask(page, "document.getElementById('walk') !== null") == (kind != "theta_0 alone")
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_walk_shows_every_scored_point_of_the_chosen_training_and_how_far_the_frontier_is(page: "Chrome") -> None:
    picked = headline_pick(SUMMARY)
    assert picked is not None
    point = SUMMARY.points[picked.index]
    assert ask(page, "document.getElementById('walk-training').value") == point.trial
    assert walked(page) == expected(point)
    assert "on the frontier" in ask(page, "document.getElementById('walk-said').textContent")
    start = SUMMARY.points[SUMMARY.theta_0.points[0]]
    curve = [each for each in SUMMARY.points if each.curve == ("t0001", 80, "lerp") and each.alpha > 0]
    choose = "const s = document.getElementById('walk-{}'); s.value = '{}'; s.dispatchEvent(new Event('change'))"
    page.execute_script(choose.format("training", "t0001"))
    page.execute_script(choose.format("path", "lerp"))
    page.execute_script("document.getElementById('walk-alpha').focus()")
    for _ in range(20):
        press(page, "ARROW_LEFT")
    assert walked(page) == expected(start)
    for each in sorted(curve, key=lambda each: each.alpha):
        press(page, "ARROW_RIGHT")
        assert walked(page) == expected(each)
        assert (
            ask(page, "document.getElementById('walk-alpha').getAttribute('aria-valuetext')") == f"α = {each.alpha:g}"
        )
    last = max(curve, key=lambda each: each.alpha)
    kept = max(p.generality for p in (SUMMARY.points[i] for i in SUMMARY.frontier) if p.speciality >= last.speciality)
    said = ask(page, "document.getElementById('walk-said').textContent")
    assert f"the frontier keeps {100 * (kept - last.generality):.1f} points more" in said
    assert ask(page, "document.querySelectorAll('#walk-curves path.line').length") == 3 + len(SUMMARY.roles)


def test_a_point_of_the_frontiers_table_leads_to_its_place_on_its_curve(page: "Chrome") -> None:
    for i in (SUMMARY.frontier[-1], SUMMARY.frontier[0]):
        point = SUMMARY.points[i]
        page.find_element("css selector", f"button[data-point='{point.key.text}']").click()
        assert walked(page) == expected(point)
        assert ask(page, "document.activeElement.id") == "walk-alpha"


def test_everything_that_can_be_used_can_be_reached_by_keyboard(page: "Chrome") -> None:
    usable = (
        "[...document.querySelectorAll('a[href], button, select, input, summary, .wide')].filter(e => e.offsetParent)"
    )
    count = ask(page, f"(window.usable = {usable}).length")
    for _ in range(count):
        press(page, "TAB")
        page.execute_script("(window.reached = window.reached || new Set()).add(document.activeElement)")
        assert ask(page, "getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert ask(page, "window.usable.filter(e => !window.reached.has(e)).map(e => e.outerHTML)") == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast_by_day_and_by_night(browser: "Chrome", file: Path, dark: bool) -> None:
    page = show(browser, file, dark=dark)
    measure = """
    const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = color => color.match(/[\\d.]+/g).slice(0, 3).map((v, i) => linear(v / 255) * [.2126, .7152, .0722][i])
      .reduce((a, b) => a + b);
    const paper = light(getComputedStyle(document.body).backgroundColor);
    const ratio = own => (Math.max(own, paper) + .05) / (Math.min(own, paper) + .05);
    const texts = [...document.querySelectorAll('p, td, th, li, h1, h2, h3, small, a, button, code, #frontier text')];
    return [paper, Math.min(...texts.map(e => ratio(light(getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color']))))];
    """
    paper, least = page.execute_script(measure)
    assert paper < 0.05 if dark else paper > 0.9
    assert least >= 4.5  # WCAG AA


def test_a_phone_needs_no_scrolling_sideways_and_paper_has_no_controls(browser: "Chrome", file: Path) -> None:
    page = show(browser, file, width=360)
    assert ask(page, "document.documentElement.scrollWidth") == 360
    beyond = "!e.closest('.wide, #plot') && e.getBoundingClientRect().right > 361"  # these two hide or scroll
    out = f"[...document.querySelectorAll('main *')].filter(e => {beyond}).map(e => e.outerHTML.slice(0, 80))"
    assert ask(page, out) == []
    page = show(browser, file, width=690, dark=True, media="print")
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert ask(page, "getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert ask(page, "getComputedStyle(document.querySelector('#frontier text')).fill") == "rgb(27, 31, 36)"
    shown = "[...document.querySelectorAll('nav, select, input, .copy, .modebar')].filter(e => e.offsetParent).length"
    assert ask(page, shown) == 0
    paper = 279 - 32  # mm of a page of US letter within its margins; A4 is longer
    bottom = ask(page, "document.getElementById('plot').getBoundingClientRect().bottom") / 96 * 25.4
    assert 0.7 * paper < bottom < paper
    assert ask(page, "getComputedStyle(document.querySelector('h2 + .note')).breakAfter") == "avoid"


def test_after_printing_the_chart_has_the_size_it_had(browser: "Chrome", file: Path) -> None:
    page = show(browser, file)
    size = "(b => [b.width, b.height])(document.querySelector('#frontier .main-svg').getBoundingClientRect())"
    before = ask(page, size)
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert ask(page, size) == [680, 540] != before
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    until = time.monotonic() + 20
    while ask(page, size) != before:
        assert time.monotonic() < until, ask(page, size)
        time.sleep(0.05)


def test_ten_thousand_points_are_no_elements_of_the_page_and_a_pan_does_not_draw_them_anew(
    browser: "Chrome", tmp_path: Path
) -> None:
    summary = make_summary("full")
    path = tmp_path / "large.html"
    path.write_text(page_of(make_findings(enlarged(summary), "full")), encoding="utf-8")
    assert path.stat().st_size < 10e6
    page = show(browser, path)
    assert ask(page, "document.querySelectorAll('#frontier *').length") < 1500
    assert ink_of_the_cloud(page) > 0
    page.execute_script(
        "Plotly.relayout(page.chart, {dragmode: 'pan'}); window.copied = 0;"
        "const copy = CanvasRenderingContext2D.prototype.drawImage;"
        "CanvasRenderingContext2D.prototype.drawImage = function (...all) { copied++; return copy.apply(this, all); }"
    )
    box = ask(
        page,
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('.nsewdrag').getBoundingClientRect())",
    )
    for kind, shift in (("mousePressed", 0), *(("mouseMoved", 5 * i) for i in range(1, 21))):
        event = {"type": kind, "x": box[0] + shift, "y": box[1] + shift, "button": "left", "buttons": 1}
        page.execute_cdp_cmd("Input.dispatchMouseEvent", event | {"clickCount": 1})
    assert ask(page, "window.copied") == 0
    moved = ask(page, "new DOMMatrix(document.getElementById('cloud').style.transform)")
    assert (round(moved["e"]), round(moved["f"])) == (100, 100)  # the marks follow the mouse
    end = {"type": "mouseReleased", "x": box[0] + 100, "y": box[1] + 100, "button": "left", "clickCount": 1}
    page.execute_cdp_cmd("Input.dispatchMouseEvent", end)
    assert ask(page, "window.copied") >= 10_000
    assert ask(page, "document.getElementById('cloud').style.transform") == "none"


def enlarged(summary: Summary) -> Summary:
    """Ten thousand points more, all of them dominated."""
    own = [p for p in summary.points if p.method not in ("plain", "theta_0") and p.alpha > 0]
    more = [
        dataclasses.replace(p, trial=f"{p.trial}-{n}", speciality=p.speciality - 0.001 * (n % 9 + 1))
        for n in range(10_000 // len(own) + 1)
        for p in own
    ]
    return dataclasses.replace(summary, points=(*summary.points, *more))
