"""The running program -> the origin that a record states: code, packages, hardware and seeds; no host names."""

import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rayforget.extensions.use import used_extensions, used_sources

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = (
    *("rayforget", "torch", "torchvision", "numpy", "open_clip_torch", "transformers", "peft", "safetensors"),
    *("pillow", "datasets", "ray", "optuna", "mlflow", "pyarrow", "pydantic"),
)
_NO_SCORES = ("report/", "commands/", "cli/", "export/")
"""Code that only draws and prints what was measured."""


def provenance(seeds: Mapping[str, int]) -> dict[str, Any]:
    """All facts below, as JSON values, with the seeds that the caller used (purpose -> seed)."""
    return {
        "code": {**git_state(), "version": code_version()},
        "packages": package_versions(),
        **extension_facts(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": hardware(),
        "seeds": dict(seeds),
    }


def extension_facts() -> dict[str, Any]:
    """Other packages' extensions in use here, with their versions and the hashes of their sources."""
    return {"extensions": used_extensions(), "extension_sources": used_sources()}


@functools.cache
def code_version() -> str:
    """Sixteen hex digits over the names and contents of the source files that affect scores."""
    digest = hashlib.sha256()
    for path in sorted(_ROOT.rglob("*.py"), key=lambda path: path.relative_to(_ROOT).as_posix()):
        name = path.relative_to(_ROOT).as_posix()
        if not name.startswith(_NO_SCORES):
            digest.update(f"{name}|{path.stat().st_size}|".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def git_state() -> dict[str, Any]:
    """`commit` and `dirty` (changed or new files in the package) if the running code is a git checkout, else None.

    A package installed inside another project's checkout (in a .venv) is not that checkout's code.
    """
    if _git("ls-files", "--error-unmatch", "errors.py") is None:
        return {"commit": None, "dirty": None}
    commit, status = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", ".")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def package_versions() -> dict[str, str]:
    """Name -> version of packages that may affect a score; packages not installed are left out."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def hardware() -> dict[str, Any]:
    """CPU and memory, and if torch is in use its threads and the GPU if already initialised."""
    facts: dict[str, Any] = {"machine": platform.machine(), "cpu": _cpu_name(), "cpus": os.cpu_count()}
    if hasattr(os, "sched_getaffinity"):
        facts["cpus"] = len(os.sched_getaffinity(0))
    if {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        facts["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["torch_threads"] = torch.get_num_threads()
        if torch.cuda.is_initialized():  # asking earlier would start CUDA in a process that does not use it
            facts["gpu"] = torch.cuda.get_device_name()
            facts["cuda"] = torch.version.cuda
    return facts


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git(*arguments: str) -> str | None:
    """git's output, run in the package's folder; None if there is no git, or the command fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
