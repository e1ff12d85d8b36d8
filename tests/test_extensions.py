"""A name stands for one thing and is imported only when named; a broken package breaks nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from plugins.outsiders import write_package as install

from rayforget.errors import ExtensionError
from rayforget.extensions.registry import Registry, refusing_claims
from rayforget.extensions.use import used_extensions


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


TOYS: Registry[str] = Registry(group="rayforget.toys", noun="toy", own={"sep": "os:sep", "top": "os:curdir"})


def test_an_own_name_is_found_without_a_package() -> None:
    found = TOYS.find("sep")
    assert (found.value, found.package, found.version) == ("/", None, None)
    assert TOYS.names() == ("sep", "top")


def test_a_packages_name_is_found_with_its_version_and_noted_as_used(site: Path) -> None:
    install(site, "toybox", {"ball": "BALL"}, "BALL = 'round'")
    assert TOYS.names() == ("sep", "top", "ball")
    assert "rayforget.toys" not in used_extensions()
    found = TOYS.find("ball")
    assert (found.value, found.package, found.version) == ("round", "toybox", "2.5")
    assert used_extensions()["rayforget.toys"] == {"ball": "toybox 2.5"}


def test_names_import_nothing_and_a_broken_package_breaks_itself_alone(site: Path) -> None:
    install(site, "broken_box", {"kite": "KITE"}, "raise RuntimeError('no\\nwind')")
    assert "kite" in TOYS.names()
    assert TOYS.find("sep").value == "/"
    assert "broken_box" not in sys.modules
    with pytest.raises(ExtensionError, match="toy 'kite' of package broken_box cannot be imported") as raised:
        TOYS.find("kite")
    assert "\n" not in str(raised.value)


def test_a_name_that_two_packages_claim_is_refused_when_it_is_named(site: Path) -> None:
    install(site, "box_one", {"rope": "ROPE"}, "ROPE = 1")
    install(site, "box_two", {"rope": "ROPE", "hoop": "HOOP"}, "ROPE = HOOP = 2")
    with pytest.raises(ExtensionError, match="box_one and box_two each bring a toy 'rope'"):
        TOYS.find("rope")
    assert TOYS.find("hoop").value == 2


def test_a_package_cannot_replace_what_is_our_own(site: Path) -> None:
    install(site, "box_three", {"sep": "SEP"}, "SEP = 1")
    assert TOYS.find("sep").value == "/"
    with (
        refusing_claims(),
        pytest.raises(ExtensionError, match="sep is rayforget's own toy, and box_three brings another"),
    ):
        TOYS.find("sep")


def test_an_unknown_name_is_one_line_with_what_there_is() -> None:
    with pytest.raises(
        ExtensionError, match=r"no toy 'topp' here \(there are: sep, top\); did you mean top\?"
    ) as raised:
        TOYS.find("topp")
    assert "\n" not in str(raised.value)


def test_a_broken_package_breaks_neither_help_nor_list(tmp_path: Path) -> None:
    groups = ("rayforget.penalties", "rayforget.paths", "rayforget.metrics", "rayforget.foundations")
    for number, group in enumerate(groups):
        install(tmp_path, f"broken_{number}", {"l2": "X", "other": "X"}, "raise SystemError('broken')", group)
    for arguments in (["--help"], ["list", "--storage", str(tmp_path / "runs")]):
        done = subprocess.run(
            [sys.executable, "-m", "rayforget.cli", *arguments],
            env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "SystemError" not in done.stdout + done.stderr
