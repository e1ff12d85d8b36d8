"""A sweep from Python, in this process: it runs to its end, starts each slot once, and its results are at hand."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from on_ray.slots import workers

import rayforget
from rayforget.errors import RecordError

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]


def test_a_sweep_runs_from_python_and_gives_its_results(tree: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    space = tree(tmp_path / "elsewhere", plain={"set": {"learning_rate": 1e-3}, "seeds": 1}, methods={"full": {}})
    space["curve"] = {"coarse": [0, 0.5, 1], "refine": 0, "fractions": [1.0]}
    space["resources"]["slots"] = 2  # for three trainings, so that one slot waits at the end
    with seen_workers() as seen:
        results = rayforget.run_sweep(
            space, overrides={"recipe.epochs": 1}, trials=2, name="in_python", storage=tmp_path / "runs"
        )
    assert len(seen) == 2  # none was started twice
    assert results.name == "in_python"
    points = results.points()
    assert set(points["method"]) == {"theta_0", "plain", "full"}
    assert (points["epochs"].dropna() == 1).all()
    assert points.loc[points["frontier"], "test/speciality"].notna().all()
    assert rayforget.open_sweep("in_python", tmp_path / "runs").points().equals(points)
    with pytest.raises(RecordError, match="in_python"):
        rayforget.run_sweep(space, name="in_python", storage=tmp_path / "runs")


@contextmanager
def seen_workers() -> Iterator[set[int]]:
    """Process ids of all workers below this process that live at some time while the block runs."""
    seen: set[int] = set()
    this = psutil.Process()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.update(process.pid for process in workers(this.children(recursive=True)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
