import itertools
from pathlib import Path

import pytest
from plugins.faulty import Write
from plugins.outsiders import write_package

_numbers = itertools.count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Installs an extension of a new name, which stands for NAME in its code, and gives that name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write_extension(group: str, attribute: str, code: str, name: str | None = None) -> str:
        name = name or f"one{next(_numbers)}"
        package = f"box_of_{name}"
        write_package(tmp_path, package, {name: attribute}, code.replace("NAME", name), f"rayforget.{group}")
        return name

    return write_extension
