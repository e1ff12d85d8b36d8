"""What was computed with a foundation is not used once its package is of another version, or another source."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.outsiders import install
from vector_equipment import VectorScorer, vector_equipment

from rayforget.space.foundation import FOUNDATIONS, rules_of

THEIRS = {"kind": "pixels", "model": "random", "classes": 20}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with the package."""
    (tmp_path / "site").mkdir()
    install("pixels", tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "site"
    _forget()


def _forget() -> None:
    sys.modules.pop("rayforget_pixels", None)
    rules_of.cache_clear()


def _times_scored(root: Path) -> int:
    """How often a worker that starts now scores theta_0."""
    _forget()
    FOUNDATIONS.find("pixels")
    scorer = VectorScorer()
    vector_equipment(root, scorer=scorer, foundation=THEIRS).theta_0_scores("val")
    return len(scorer.asked)


def test_theta_0_is_scored_again_under_another_version_or_source(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _times_scored(tmp_path / "runs") == 1
    assert _times_scored(tmp_path / "runs") == 0
    with (site / "rayforget_pixels.py").open("a") as code:
        code.write("\n# another way to score\n")
    assert _times_scored(tmp_path / "runs") == 1
    (metadata,) = site.glob("*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("Version: 0.3", "Version: 0.4"))
    assert _times_scored(tmp_path / "runs") == 1
    assert _times_scored(tmp_path / "runs") == 0
