"""A foundation from the hub: its own files come from the hub's cache, and the card names it."""

from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from small_models import folder_of

from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.exporter import CausalExporter
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.causal_lm.prepared import with_tasks
from rayforget.space.tasks.text import Sequences

CPU, COMMIT = torch.device("cpu"), "a" * 40


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with one model, at one commit; no network."""
    place = tmp_path / "cache" / "models--owner--lm"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    folder = folder_of("qwen2", place / "snapshots" / COMMIT)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "LICENSE").write_text("as you like")
    (folder / "trainer_state.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def test_its_files_are_carried_over_and_its_name_and_licence_are_told(cached: Path, tmp_path: Path) -> None:
    spec = CausalLmFoundation(kind="causal_lm", model="owner/lm", revision=COMMIT)
    foundation = with_tasks(load_causal_lm(spec, CPU), Sequences(), {}, cache=tmp_path, batch_tokens=64)
    exporter = CausalExporter(foundation, spec)
    assert (exporter.words.base_model, exporter.words.license) == ("owner/lm", "mit")
    out = tmp_path / "out"
    out.mkdir()
    again = exporter.save(foundation.theta_0, out, torch.float32)
    assert (again.model, again.revision) == (str(out), None)
    carried = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json", "LICENSE")
    for name in carried:
        assert (out / name).read_bytes() == (cached / name).read_bytes()
    assert {path.name for path in out.iterdir()} == {*carried, "config.json", "model.safetensors"}
    assert load_causal_lm(again, CPU).theta_0_hash == foundation.theta_0_hash
