"""A hub foundation is pinned to the commit that its branch stands for; all other foundations stay as they are."""

from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.source import clip_source
from rayforget.foundations.revisions import pin_foundation
from rayforget.space.models import Space

ONE, OTHER = "1" * 40, "2" * 40


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with two repositories, whose main branch and tag v0 are two commits; no network."""
    for name, file in (("lm", "config.json"), ("clip", "open_clip_config.json")):
        repository = tmp_path / f"models--owner--{name}"
        for reference, commit in (("main", ONE), ("v0", OTHER)):
            (repository / "refs").mkdir(parents=True, exist_ok=True)
            (repository / "refs" / reference).write_text(commit)
            (repository / "snapshots" / commit).mkdir(parents=True)
            (repository / "snapshots" / commit / file).write_text(
                '{"model_cfg": {"embed_dim": 1, "vision_cfg": {}, "text_cfg": {}}}'
            )
            (repository / "snapshots" / commit / "open_clip_model.safetensors").write_text("weights")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def space(foundation: dict[str, Any]) -> Space:
    text = foundation["kind"] == "causal_lm"
    kind: dict[str, Any] = {"kind": "instruction"} if text else {"kind": "zero_shot", "templates": ["a {}"]}
    source = {"kind": "jsonl", "path": "/data/a.jsonl"} if text else {"kind": "folder", "path": "/data/a"}
    other = {key: f"{value}b" if key == "path" else value for key, value in source.items()}
    return Space.model_validate(
        {
            "name": "tiny",
            "foundation": foundation,
            "tasks": {
                "s": {
                    **kind,
                    "role": "speciality",
                    "train": {**source, "path": "/data/c"},
                    "val": source,
                    "test": other,
                },
                "g": {**kind, "role": "generality", "group": "d", "val": source, "test": other},
            },
            "recipe": {"learning_rate": {"low": 1e-5, "high": 1e-3}, "epochs": 1, "batch_size": 8},
            "methods": {"full": {}},
            "plain": {"set": {"learning_rate": 1e-4}},
            "search": {"trainings": 2, "seed": 0},
        }
    )


@pytest.mark.parametrize(
    "foundation", [{"kind": "causal_lm", "model": "owner/lm"}, {"kind": "clip", "model": "hf-hub:owner/clip"}]
)
def test_a_hub_foundation_gets_its_commit_and_nothing_else_changes(hub_cache: Path, foundation: dict[str, Any]) -> None:
    for revision, commit in ((None, ONE), ("v0", OTHER), (OTHER, OTHER)):
        before = space({**foundation, "revision": revision})
        pinned = pin_foundation(before)
        expected = before.model_dump(mode="json")
        expected["foundation"]["revision"] = commit
        assert pinned.model_dump(mode="json") == expected
        assert pin_foundation(pinned) == pinned


@pytest.mark.parametrize(
    "foundation",
    [
        {"kind": "causal_lm", "model": "builtin"},
        {"kind": "causal_lm", "model": "/models/lm"},
        {"kind": "causal_lm", "model": "owner/not-here"},
        {"kind": "clip", "model": "builtin"},
        {"kind": "clip", "model": "local-dir:/models/clip"},
        {"kind": "clip", "model": "hf-hub:owner/not-here"},
        {"kind": "clip", "model": "ViT-B-32", "pretrained": "openai"},
    ],
)
def test_a_local_foundation_or_one_that_is_not_to_be_had_stays_as_it_is(
    hub_cache: Path, foundation: dict[str, Any]
) -> None:
    assert pin_foundation(space(foundation)) == space(foundation)


def test_a_pinned_clip_model_is_loaded_from_its_commits_files(hub_cache: Path) -> None:
    source = clip_source(ClipFoundation(kind="clip", model="hf-hub:owner/clip", revision=OTHER))
    assert source.name == f"local-dir:{hub_cache}/models--owner--clip/snapshots/{OTHER}"


@pytest.mark.parametrize("model", ["builtin", "local-dir:/models/clip"])
def test_a_revision_of_no_hub_model_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="is no hub model: remove it"):
        ClipFoundation(kind="clip", model=model, revision=ONE)
