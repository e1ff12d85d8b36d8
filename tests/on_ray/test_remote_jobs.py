"""The way onto a cluster, as far as it needs none: what is typed, what is printed once, whose lines are whose."""

from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.on_ray.log_marks import lines_about, noted
from rayforget.on_ray.remote.follow import _Printer
from rayforget.on_ray.remote.reach import ClusterAddress
from rayforget.on_ray.submit import submit_sweep
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.space.recipe import Recipe


def test_a_cluster_is_named_in_exactly_one_way() -> None:
    assert ClusterAddress(cluster=Path("my cluster.yaml")).words == "--cluster 'my cluster.yaml'"
    assert ClusterAddress(address="http://localhost:8265").words == "--address http://localhost:8265"
    with pytest.raises(SpaceError, match="found neither"):
        ClusterAddress()
    with pytest.raises(SpaceError, match="found both"):
        ClusterAddress(cluster=Path("a"), address="http://b")
    with pytest.raises(SpaceError, match="is not a dashboard's"):
        ClusterAddress(address="10.0.0.1:6379")


def test_what_cannot_be_is_refused_before_the_cluster_is_asked(tmp_path: Path) -> None:
    nowhere = ClusterAddress(cluster=tmp_path / "missing.yaml")
    with pytest.raises(SpaceError, match="leave the space file out"):
        submit_sweep(nowhere, space=tmp_path, overrides=(), name=None, resume="x")
    with pytest.raises(SpaceError, match="leave --name out"):
        submit_sweep(nowhere, space=None, overrides=(), name="y", resume="x")
    with pytest.raises(SpaceError, match="folder of this machine"):
        submit_sweep(nowhere, space=None, overrides=(), name=None, resume="x", storage="runs")


@pytest.mark.parametrize("cut", [0, 1, 7, 12, 17])
def test_after_a_break_the_output_goes_on_where_it_broke(cut: int, capsys: pytest.CaptureFixture[str]) -> None:
    text = "one\ntwo\nthree ✓\n"
    printer = _Printer()
    printer.begin()
    printer.take(text[:cut])
    for size in (1, 5):  # the pieces of the next sendings are others
        printer.begin()
        for start in range(0, len(text), size):
            printer.take(text[start : start + size])
    assert capsys.readouterr().out == text


def test_each_trainings_lines_are_found_in_its_workers_log(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    recipe = Recipe(method="full", learning_rate=1e-3, epochs=1, batch_size=1, seed=0)
    for name, attempt in (("0000-plain", 1), ("0001-full", 1), ("0001-full", 2)):
        with noted(TrialJob(name=name, recipe=recipe), attempt):
            sys.stderr.write(f"warning of {name}\n")
    with noted((TestJob(trial="0001-full", step=1, spots=()),), 1):
        sys.stderr.write("of test\n")
    log = ["before", *capsys.readouterr().err.splitlines(), "after"]
    assert list(lines_about("0001-full", log)) == [
        "[rayforget] begins 0001-full, attempt 1",
        "warning of 0001-full",
        "[rayforget] ends 0001-full",
        "[rayforget] begins 0001-full, attempt 2",
        "warning of 0001-full",
        "[rayforget] ends 0001-full",
    ]
    killed = ["[rayforget] begins a, attempt 1", "x", "[rayforget] begins b, attempt 1", "y"]
    assert list(lines_about("a", killed)) == killed[:2], "a worker that was killed says no end"
    assert list(lines_about("0001", log)) == []
