"""EWC's kept Fisher information is not used for the same weights run in another way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import save_clip
from tiny_lm import save_lm
from torch import Tensor

from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.prepared import prepare_causal_lm
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.prepared import prepare_clip
from rayforget.foundations.protocol import Foundation
from rayforget.record.storage.store import Store
from rayforget.record.tensors_cache import TensorsCache
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.data import FolderSource, ZeroShotTask
from rayforget.space.tasks.text import JsonLinesSource, PlainTextTask, Sequences
from rayforget.tasks.resolve import resolve_tasks
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.train.fisher import fisher_information
from rayforget.train.penalties.hooks import Training
from rayforget.train.penalties.sources import FoundationSources

CPU = torch.device("cpu")


def clip(folder: Path) -> Callable[[], Foundation]:
    random = np.random.default_rng(0)
    for index in range(3 * 4):
        path = folder / f"{index // 4}" / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    splits = {split: FolderSource(kind="folder", path=folder / f"{i}") for i, split in enumerate(("train", "val"))}
    splits["test"] = FolderSource(kind="folder", path=folder / "2")
    tasks = resolve_tasks({"s": ZeroShotTask(kind="zero_shot", role="speciality", templates=("a {}",), **splits)})
    save_clip(folder / "model")
    spec = ClipFoundation(kind="clip", model=f"local-dir:{folder / 'model'}")
    return lambda: prepare_clip(spec, tasks, cache=folder / "cache", device=CPU, evaluation_batch=4)


def llama(folder: Path) -> Callable[[], Foundation]:
    splits = {}
    for index, split in enumerate(("train", "val", "test")):
        rows = [{"text": f"the dog and doctor {index} ran into the garden " * (i + 1)} for i in range(2)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        splits[split] = JsonLinesSource(kind="jsonl", path=folder / f"{split}.jsonl")
    tasks = resolve_text_tasks({"s": PlainTextTask(kind="text", role="speciality", **splits)})
    save_lm(folder / "model", "llama")
    spec = CausalLmFoundation(kind="causal_lm", model=str(folder / "model"), sequences=Sequences())
    return lambda: prepare_causal_lm(spec, tasks, cache=folder / "cache", device=CPU, batch_tokens=256)


def fisher(foundation: Foundation, split: str, storage: Path) -> dict[str, Tensor]:
    head = {"head": "frozen"} if hasattr(foundation, "_vectors") else {}
    recipe = Recipe.model_validate(
        {"method": "m", "learning_rate": 1e-3, "epochs": 1, "batch_size": 2, "seed": 0, **head}
    )
    learner = foundation.learner(recipe)
    cache = TensorsCache(Store.open(storage), code="c")
    weights = {name: weight for name, weight in learner.module.named_parameters() if weight.requires_grad}
    sources = FoundationSources(foundation, recipe, CPU, cache)
    training = Training(learner=learner, weights=weights, start={}, factors=(), sharded=False, sources=sources)
    return fisher_information(training, "s", split, samples=2)


@pytest.mark.parametrize(
    ("kind", "split", "file", "settings"),
    [
        (clip, "val", "open_clip_config.json", {"preprocess_cfg": {"resize_mode": "squash", "mean": [0.1, 0.2, 0.3]}}),
        (clip, "train", "open_clip_config.json", {"model_cfg": {"quick_gelu": True}}),
        (llama, "train", "config.json", {"hidden_act": "relu"}),
        (llama, "val", "config.json", {"rms_norm_eps": 0.1}),
    ],
)
def test_a_corrected_setting_of_the_model_gives_its_own_fisher_information(
    tmp_path: Path,
    kind: Callable[[Path], Callable[[], Foundation]],
    split: str,
    file: str,
    settings: dict[str, Any],
) -> None:
    made, kept, anew = kind(tmp_path), tmp_path / "kept", tmp_path / "anew"
    before = fisher(made(), split, kept)
    again = fisher(made(), split, kept)
    assert len(list((kept / "cache" / "tensors").iterdir())) == 1
    assert all(torch.equal(again[name], before[name]) for name in before)
    path = tmp_path / "model" / file
    tree = json.loads(path.read_text())
    for key, value in settings.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(tree))
    found, expected = fisher(made(), split, kept), fisher(made(), split, anew)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(not torch.equal(found[name], before[name]) for name in before)
