"""constraints.txt: pins everything that pyproject.toml asks for, within its ranges, without naming its author."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "constraints.txt").read_text()
PINS = [Requirement(line) for line in TEXT.splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MACHINES = [
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix"},
]


def pinned(name: str, environment: dict[str, str]) -> list[str]:
    """The versions of this package pinned for this environment."""
    return [
        next(iter(pin.specifier)).version
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate({**environment, "platform_python_implementation": "CPython"}))
    ]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine["sys_platform"])
def test_every_direct_dependency_is_pinned_once_within_its_range(python: str, machine: dict[str, str]) -> None:
    environment = {**machine, "python_version": python, "python_full_version": f"{python}.9"}
    optional = [line for extra in PROJECT.get("optional-dependencies", {}).values() for line in extra]
    for line in PROJECT["dependencies"]:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate(environment):
            continue
        versions = pinned(wanted.name, environment)
        assert len(versions) == 1, f"{wanted.name}: {versions}"
        assert wanted.specifier.contains(versions[0]), f"{wanted}: {versions[0]}"
    for line in optional:  # optional for users and for this file; whatever it pins must fit
        wanted = Requirement(line)
        assert all(wanted.specifier.contains(version) for version in pinned(wanted.name, environment))


def test_every_line_is_one_exact_version() -> None:
    for pin in PINS:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], str(pin)
        assert pin.url is None


def test_no_address_path_or_option_is_written_down() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    assert not re.search(r"://|file:|^-|^\.|(^|\s)/", "\n".join(lines), re.MULTILINE)


def test_packages_of_one_platform_keep_their_marker() -> None:
    assert all(
        "sys_platform == 'linux'" in line for line in TEXT.splitlines() if line.startswith(("nvidia-", "triton"))
    )
