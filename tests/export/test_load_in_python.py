"""A point loaded from Python is the library's own model with the weights that were scored."""

from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from small_sweeps import Recorded
from transformers import PreTrainedModel

import rayforget
from rayforget.errors import RecordError, SpaceError
from rayforget.export.in_memory import load_point
from rayforget.export.point_folder import export_point
from rayforget.frontier.points import PointKey
from rayforget.in_python import Results


def results_of(found: Recorded) -> Results:
    return rayforget.open_sweep(found.sweep.info.name, found.folder / "runs")


def test_a_clip_is_open_clips_in_fp32(pictures: Recorded) -> None:
    results, key = results_of(pictures), PointKey("0000-plain", 2, 0.5)
    found = results.load(key.text)
    assert isinstance(found.model, open_clip.CLIP)
    assert {tensor.dtype for tensor in found.model.parameters()} == {torch.float32}
    expected = load_point(pictures.sweep, pictures.space, key).model.state_dict()
    start = results.load("theta_0/0/lerp/0.0").model.state_dict()
    own = found.model.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())
    assert any(not torch.equal(own[name], tensor) for name, tensor in start.items())
    for same in (key, next(p for p in results._report.summary.points if p.key == key)):
        assert all(torch.equal(tensor, own[name]) for name, tensor in results.load(same).model.state_dict().items())


def test_a_pick_is_loaded_as_its_point(pictures: Recorded) -> None:
    results = results_of(pictures)
    picked = results.pick(max_forgetting=99)
    assert picked.point is not None
    assert picked.has_weights(picked.point)
    own = results.load(picked.point.key.text).model.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in results.load(picked).model.state_dict().items())


@pytest.mark.slow
def test_a_language_model_is_transformers(words: Recorded) -> None:
    found = results_of(words).load("0001-lora/2/lerp/0.5")
    assert isinstance(found.model, PreTrainedModel)
    text = found.tokenizer("what cures a cold", return_tensors="pt")
    with torch.inference_mode():
        assert found.model(**text).logits.isfinite().all()


def test_what_cannot_be_loaded_is_told(pictures: Recorded) -> None:
    results = results_of(pictures)
    with pytest.raises(SpaceError, match="names no point"):
        results.load("best")
    with pytest.raises(RecordError, match="nothing was picked"):
        results.load(results.pick(max_forgetting=-99))
    with pytest.raises(RecordError, match="no training 0009"):
        results.load("0009/2/lerp/0.5")


def test_a_point_that_is_newer_than_the_reading_is_refused_before_anything_is_written(
    pictures: Recorded, tmp_path: Path
) -> None:
    summary, key = results_of(pictures)._report.summary, PointKey("0000-plain", 2, 0.5)
    older = replace(summary, points=tuple(point for point in summary.points if point.key != key))
    with pytest.raises(RecordError, match="open the sweep again"):
        export_point(pictures.sweep, pictures.space, older, key, tmp_path / "out")
    assert not (tmp_path / "out").exists()
