"""A script or a command in a process of its own, without the seconds that a fresh interpreter needs to import torch.

It is forked from the server of `ranks`, which has imported much and run nothing. Where the import itself is the point,
a test starts an interpreter instead.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

from ranks import preload

_PATIENCE_S = 280.0


def run_script(script: Path, *arguments: str) -> CompletedProcess[str]:
    """`python SCRIPT ARGUMENTS`, where the test is."""
    return _run([str(script), *arguments], Path.cwd(), ())


def run_rayforget(folder: Path, *arguments: str, path: Sequence[Path] = ()) -> CompletedProcess[str]:
    """`rayforget ARGUMENTS` in a folder; `path` goes before all other packages."""
    return _run(["", *arguments], folder, path)


def _run(words: list[str], folder: Path, path: Sequence[Path]) -> CompletedProcess[str]:
    preload()
    with tempfile.TemporaryDirectory() as told:
        given = (words, str(folder), [str(each) for each in path], told, dict(os.environ))
        process = multiprocessing.get_context("forkserver").Process(target=_work, args=given)
        process.start()
        process.join(_PATIENCE_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        out, err = ((Path(told) / name).read_text(encoding="utf-8") for name in ("out", "err"))
    assert process.exitcode is not None
    return CompletedProcess(words, process.exitcode, out, err)


def _work(words: list[str], folder: str, path: list[str], told: str, environment: dict[str, str]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{told}/{name}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = words
    script = words[0]
    if script:
        sys.path.insert(0, str(Path(script).parent))
        runpy.run_path(script, run_name="__main__")
        return
    sys.path[:0] = path
    from rayforget.cli import main

    main()
