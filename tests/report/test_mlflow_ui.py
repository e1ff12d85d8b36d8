"""MLflow's own pages in a real browser: the printed link shows the points as charts, they can be selected and compared,
and the report opens.

With REMAKE=1 the README's picture is taken again, of the sweep that RAYFORGET_PICTURE_OF names (`STORAGE/NAME`).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import open_browser
from synthetic_sweep import add_tests, make_records, make_space, make_sweep, untested

from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.mirror_names import sweep_filter
from rayforget.report.mlflow.shown_points import COLORS, MAX_POINTS, shown_points
from rayforget.report.present import Report, mirror_sweep, read_report

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.slow

PICTURE = Path(__file__).parents[2] / "docs" / "mlflow.png"
MARKS = "[...document.querySelectorAll('.scatterlayer path.point')]"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A finished sweep, alone in its storage."""
    root = tmp_path_factory.mktemp("runs")
    if taken_of := os.environ.get("RAYFORGET_PICTURE_OF"):
        folder = Path(taken_of)
        shutil.copytree(folder, root / folder.name)
        return Sweep.open(Store.open(root), folder.name)
    records, test = make_records(trials=24, seeds=3, scale=0.3, fractions=(1.0,))
    made = make_sweep(make_space(root, trainings=24, seeds=3), "tiny-1", records, at=time.time())
    made.note_budget(24)
    add_tests(made, untested(made), test, at=time.time())
    return made


@pytest.fixture(scope="module")
def report(sweep: Sweep) -> Report:
    """Its report, which is mirrored."""
    storage = str(sweep.store.local.parent) if sweep.store.local else ""
    space = space_here(sweep, storage)
    made = read_report(sweep, space)
    mirror_sweep(sweep, space, running=False, report=made, register=True)
    return made


@pytest.fixture(scope="module")
def link(sweep: Sweep, report: Report) -> Iterator[str]:
    """What `rayforget ui` prints, while it serves the mirrored sweep."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert sweep.store.local is not None
    words = ["ui", sweep.info.name, "--storage", str(sweep.store.local.parent), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-c", "from rayforget.cli import main; main()", *words],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        said = next(line for line in server.stdout if "#/experiments/" in line)
        assert is_open(port)  # the link is told when it can be followed
        yield re.findall(r"http://\S+", said)[-1]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def page() -> Iterator["Chrome"]:
    with open_browser(width=1680, height=1060) as opened:
        yield opened


def test_the_link_shows_the_points_as_charts_which_can_be_compared_and_the_report_opens(
    page: "Chrome", sweep: Sweep, report: Report, link: str
) -> None:
    summary = report.summary
    points = shown_points(report.gathered.points, [summary.points[i].key for i in summary.frontier])
    page.get(link)
    wait_for(lambda: page.execute_script(f"return {MARKS}.length") == len(points))
    assert len(points) <= MAX_POINTS
    assert texts(page, ".xtitle, .ytitle") == ["val/speciality", "val/generality"]
    assert Counter(colors_of(page)) == Counter(COLORS[place].upper() for place in points.values())
    wait_for(lambda: texts(page, ".parcoords .dimension"))
    axes = " ".join(texts(page, ".parcoords .dimension"))
    assert all(name in axes for name in ("method", "learning_rate", "alpha"))
    assert "adapter.kind" not in axes  # it follows from the method
    assert len(texts(page, "[data-testid='experiment-view-compare-runs-card']")) == 2  # the other charts are folded
    take_picture(page)

    names = choose_two(page)
    assert set(names) <= {key.text for key in points}
    wait_for(lambda: "/compare-runs" in page.current_url)
    wait_for(lambda: all(name in " ".join(texts(page, "body")) for name in names))

    run = run_of(sweep)
    address = link.partition("/#/")[0]
    page.get(f"{address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/frontier.html")
    page.refresh()
    frame = wait_for(lambda: page.execute_script("return document.querySelector('iframe.mlflow-html-iframe')"))
    page.switch_to.frame(frame)
    wait_for(lambda: page.execute_script("return document.querySelectorAll('.js-plotly-plot .main-svg').length"))
    assert sweep.info.name in texts(page, "h1")[0]
    page.switch_to.default_content()


def choose_two(page: "Chrome") -> list[str]:
    """Selects the first two rows and presses Compare; returns the rows' names."""
    from selenium.webdriver.common.by import By

    rows = "[...document.querySelectorAll('.ag-row')].filter(row => row.querySelector('.ag-selection-checkbox input'))"
    for place in (0, 1):
        page.execute_script(f"return {rows}[{place}].querySelector('.ag-selection-checkbox input')").click()
    names = page.execute_script(f"return {rows}.slice(0, 2).map(row => row.querySelector('a').textContent)")
    compare = wait_for(
        lambda: [b for b in page.find_elements(By.TAG_NAME, "button") if b.text == "Compare" and b.is_enabled()]
    )
    compare[0].click()
    return [str(name) for name in names]


def take_picture(page: "Chrome") -> None:
    """Takes the README's picture, if asked to, without what MLflow lays over the charts."""
    if os.environ.get("REMAKE") != "1":
        return
    for part in ("assistant.chat_panel.close", "experiment_page.shared_view.dismiss"):
        script = "document.querySelectorAll(arguments[0]).forEach(part => part.click())"
        page.execute_script(script, f"[data-component-id='mlflow.{part}']")
    style = "<style>.modebar, [data-component-id='mlflow.assistant.fab'] {display: none !important}</style>"
    page.execute_script("document.head.insertAdjacentHTML('beforeend', arguments[0])", style)
    time.sleep(3)  # until the charts have their new size
    page.save_screenshot(str(PICTURE))


def run_of(sweep: Sweep) -> Any:
    """MLflow's run of the sweep."""
    from mlflow import MlflowClient

    assert sweep.store.local is not None
    client = MlflowClient(tracking_uri=f"sqlite:///{sweep.store.local.parent / 'mlflow.db'}")
    where = f"{sweep_filter(sweep.first_name, sweep.info.created)} and tags.`rayforget.kind` = 'sweep'"
    experiment = client.get_experiment_by_name(sweep.info.space_name)
    (run,) = client.search_runs([experiment.experiment_id], where)
    return run


def colors_of(page: "Chrome") -> list[str]:
    """#RRGGBB of every mark of the scatter plot."""
    fills = page.execute_script(f"return {MARKS}.map(mark => mark.style.fill)")
    return ["#" + "".join(f"{int(part):02X}" for part in re.findall(r"\d+", fill)[:3]) for fill in fills]


def texts(page: "Chrome", selector: str) -> list[str]:
    """The text of every element that a CSS selector finds."""
    found = page.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)
    return [str(text) for text in found]


def is_open(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(find: Callable[[], Any]) -> Any:
    """What is found, as soon as it is something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := find()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.1)
    return found
