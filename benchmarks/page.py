"""The report of ten thousand points in a browser: the page's size, and how long a frame takes while it is panned.

Needs Debian's chromium and chromium-driver. Frames are counted by the page's own clock (`requestAnimationFrame`), the
mouse is moved by the browser's protocol (`Input.dispatchMouseEvent`); without a graphics card, as here, all is drawn by
the processor.
"""

import argparse
import shutil
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path

from listing import ALPHAS, NAME, make_sweep
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from verdict import print_machine, print_target

from rayforget.commands.report import write_report

_START_CLOCK = """
window.frames_ = [];
(function note(time) { frames_.push(time); requestAnimationFrame(note); })(performance.now());
return Plotly.relayout(page.chart, { dragmode: "pan" }).then(() => 1);
"""
_MIDDLE = """
const box = document.querySelector(".nsewdrag").getBoundingClientRect();
frames_.length = 0;
return [box.x + box.width / 2, box.y + box.height / 2];
"""


def main() -> None:
    """Makes a sweep and its report, opens it, pans it, prints figures and targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--moves", type=int, default=120, help="movements of the mouse")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_sweep(folder, max(1, options.points // (len(ALPHAS) - 1)), 300)
        page = folder / "report.html"
        write_report(str(folder), NAME, page)
        print_target("the page, MB", page.stat().st_size / 1e6, at_most=10)
        frames = frames_of_a_pan(page, options.moves)
    print(f"{len(frames)} frames, the slowest tenth takes {statistics.quantiles(frames, n=10)[-1]:.1f} ms or more")
    print_target("a pan's median frame, ms", statistics.median(frames), at_most=50)


def frames_of_a_pan(page: Path, moves: int) -> list[float]:
    """Milliseconds of each frame while the chart is dragged to and fro."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1200,900"):
        options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    try:
        browser.get(page.as_uri())
        browser.execute_script(_START_CLOCK)
        x, y = browser.execute_script(_MIDDLE)
        for i in range(moves):
            shift = 3 * min(i, moves - i)
            event = {"type": "mouseMoved" if i else "mousePressed", "x": x + shift, "y": y + shift // 2}
            event |= {"button": "left", "buttons": 1, "clickCount": 1}
            browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        times = browser.execute_script("return frames_")
    finally:
        browser.quit()
    return [after - before for before, after in pairwise(times)]


if __name__ == "__main__":
    main()
