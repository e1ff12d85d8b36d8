"""Provenance says what ran, and nothing about who ran it."""

import getpass
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import rayforget
from rayforget.record import provenance as module
from rayforget.record.envelope import canonical_json
from rayforget.record.provenance import code_version, git_state, hardware, package_versions, provenance

PACKAGE = Path(rayforget.__file__).parent


def test_it_is_json_and_names_neither_host_nor_user():
    facts = provenance({"sampler": 3})
    text = canonical_json(facts).decode()
    assert json.loads(text)["seeds"] == {"sampler": 3}
    assert socket.gethostname() not in text
    if len(user := getpass.getuser()) > 4:
        assert user not in text
    assert str(Path.home()) not in text or str(Path.home()) == "/"


def test_versions_are_those_that_are_installed():
    torch = pytest.importorskip("torch")
    assert package_versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_hardware_has_a_memory_and_a_cpu():
    facts = hardware()
    assert facts["cpus"] >= 1
    assert 0.1 < facts["memory_gib"] < 1e5


def test_it_imports_neither_torch_nor_ray():
    script = (
        "import sys\nfrom rayforget.record.provenance import provenance\nprovenance({})\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'open_clip'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    """A copy of the package's sources, which the module takes for its own."""
    root = tmp_path / "checkout" / "rayforget"
    shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    monkeypatch.setattr(module, "_ROOT", root)
    code_version.cache_clear()
    yield root
    code_version.cache_clear()


def test_the_code_version_follows_code_that_scores_and_no_other(copied_package):
    def version() -> str:
        code_version.cache_clear()
        return code_version()

    first = version()
    (copied_package / "report" / "extra.py").write_text("x = 1\n")
    (copied_package / "cli" / "extra.py").write_text("x = 1\n")
    assert version() == first
    (copied_package / "errors.py").write_text("x = 1\n")
    changed = version()
    assert changed != first
    (copied_package / "errors.py").rename(copied_package / "mistakes.py")
    assert version() not in (first, changed)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_a_checkout_has_a_commit_and_is_dirty_when_the_package_changed(copied_package):
    checkout = copied_package.parent
    assert git_state() == {"commit": None, "dirty": None}
    git(checkout, "init", "-q")
    (checkout / "notes.txt").write_text("mine")
    git(checkout, "add", "notes.txt")
    git(checkout, "commit", "-qm", "somebody's own repository")
    assert git_state() == {"commit": None, "dirty": None}
    git(checkout, "add", "rayforget")
    git(checkout, "commit", "-qm", "the package's own")
    state = git_state()
    assert state["dirty"] is False
    assert len(state["commit"]) == 40
    (checkout / "runs.txt").write_text("output beside the package")
    assert git_state()["dirty"] is False
    (copied_package / "new.py").write_text("")
    assert git_state() == {"commit": state["commit"], "dirty": True}
