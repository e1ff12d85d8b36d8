import open_clip
import pytest
import torch
from open_clip import build_zero_shot_classifier
from tiny_clip import TEMPLATES, TEXT, fused_clip, save_clip

from rayforget.foundations.clip.text import TextTower, causal_tower, class_features, encode_text, prompt_tokens

CLASSES = ("dog", "a rather long name for a class of things", "house")
TEXT_TOWERS = {
    "plain": {},
    "own module": {"custom_text": True},
    "end by id": {"text": TEXT | {"pool_type": "eos", "eos_id": 49407}, "custom_text": True},
    "projection with bias": {"text": TEXT | {"proj_bias": True}},
    "not causal": {"text": TEXT | {"no_causal_mask": True}},
    "last token": {"text": TEXT | {"pool_type": "last"}},
    "class token": {"text": TEXT | {"embed_cls": True}, "custom_text": True},
}


@pytest.fixture(params=TEXT_TOWERS)
def model(request, tmp_path):
    spec = save_clip(tmp_path, **TEXT_TOWERS[request.param])
    return fused_clip(spec), open_clip.get_tokenizer(spec.model), request.param


def ours(clip, tokenizer, class_names, templates):
    tokens = prompt_tokens(clip, tokenizer, class_names, templates)
    return class_features(TextTower(clip), tokens, torch.device("cpu"))


@torch.no_grad()
def test_cut_tokens_give_the_features_of_the_whole_ones(model):
    clip, tokenizer, _ = model
    whole = tokenizer([template.replace("{}", name) for name in CLASSES for template in TEMPLATES])
    cut = prompt_tokens(clip, tokenizer, CLASSES, TEMPLATES)
    assert cut.shape[:2] == (3, 3)
    expected = clip.encode_text(whole, normalize=True)
    torch.testing.assert_close(encode_text(clip, cut.flatten(0, 1)), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(encode_text(clip, whole), expected, rtol=0, atol=1e-6)


def test_only_a_causal_tower_read_at_the_end_is_cut(model):
    clip, tokenizer, kind = model
    length = prompt_tokens(clip, tokenizer, ("dog",), ("a {}",)).shape[2]
    causal = kind in ("plain", "own module", "end by id", "projection with bias")
    assert (causal_tower(clip) is not None) == causal
    assert length == (4 if causal else tokenizer(["dog"]).shape[1])


@torch.no_grad()
@pytest.mark.parametrize("num_classes", [1, 3])
def test_classifier_equals_open_clips(model, num_classes):
    clip, tokenizer, _ = model
    names = CLASSES[:num_classes]
    templates = [lambda name, t=template: t.format(name) for template in TEMPLATES]
    expected = build_zero_shot_classifier(clip, tokenizer, names, templates).T
    torch.testing.assert_close(ours(clip, tokenizer, names, TEMPLATES), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_classifier_equals_a_plain_loop(tmp_path, monkeypatch):
    monkeypatch.setattr("rayforget.foundations.clip.text._POSITIONS_PER_BATCH", 1)  # every class is a batch
    spec = save_clip(tmp_path)
    clip, tokenizer = fused_clip(spec), open_clip.get_tokenizer(spec.model)
    found = ours(clip, tokenizer, CLASSES, TEMPLATES)
    for name, vector in zip(CLASSES, found, strict=True):
        units = []
        for template in TEMPLATES:
            feature = clip.encode_text(tokenizer([template.format(name)]))[0].double()
            units.append(feature / feature.norm())
        mean = sum(units) / len(units)
        torch.testing.assert_close(vector.double(), mean / mean.norm(), rtol=0, atol=1e-6)


def test_prompt_longer_than_the_context_is_read_up_to_it(tmp_path):
    spec = save_clip(tmp_path)
    clip, tokenizer = fused_clip(spec), open_clip.get_tokenizer(spec.model)
    tokens = prompt_tokens(clip, tokenizer, ("dog " * 40,), ("{}",))
    assert tokens.shape == (1, 1, TEXT["context_length"])
