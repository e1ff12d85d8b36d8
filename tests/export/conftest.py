"""Two sweeps, recorded once for all tests of exports."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_sweeps import clip_space, language_space, record_sweep

from rayforget.frontier.summary import Summary
from rayforget.record.sweep import Sweep
from rayforget.report.present import read_report
from rayforget.space.models import Space


class Recorded(NamedTuple):
    """A sweep with its space and its report."""

    sweep: Sweep
    space: Space
    summary: Summary
    folder: Path
    """Where its data lies."""


def recorded(folder: Path, tree: dict[str, Any], methods: Iterable[str] | None = None) -> Recorded:
    """Trains what the space says, or only these methods of it."""
    sweep, space = record_sweep(folder, tree, methods)
    return Recorded(sweep, space, read_report(sweep, space).summary, folder)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A CLIP trained with each head; `plain` has head: frozen."""
    folder = tmp_path_factory.mktemp("pictures")
    methods = {"head": {"head": "trained"}, "text": {"head": "text"}}
    return recorded(folder, clip_space(folder, methods, quick_gelu=True))


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The built-in language model trained in full and by LoRA."""
    folder = tmp_path_factory.mktemp("words")
    lora = {"adapter": {"kind": "lora", "rank": 4}, "learning_rate": 2e-2}
    return recorded(folder, language_space(folder, "builtin", {"lora": lora}))
