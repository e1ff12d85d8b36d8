"""The tiny space, as a tree and as checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_space import tiny_space

from rayforget.space.models import Space


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Makes the space file's tree, with some keys replaced."""
    return tiny_space(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def space(tree: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., Space]:
    """Makes a checked space whose record lies below tmp_path."""
    return lambda **changed: Space.model_validate(tree(tmp_path / "runs", **changed))
