import pytest
from tiny_clip import save_clip

from rayforget.errors import FoundationError
from rayforget.foundations.clip_source import builtin_folder, clip_source
from rayforget.space.models import ClipFoundation


def spec(model, pretrained=None):
    return ClipFoundation(kind="clip", model=model, pretrained=pretrained)


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-B-61", "openai", r"no model of open_clip \(did you mean .*ViT-B-16"),
        ("vit-b-32", "openai", r"did you mean ViT-B-32"),
        ("ViT-B-16", "opanai", r"no tag \(did you mean openai\?\)"),
        ("local:x", "openai", r"unknown 'local'"),
        ("local-dir:/no/such/folder", None, r"no such folder"),
    ],
)
def test_mistake_is_named_with_what_to_do(model, pretrained, message):
    with pytest.raises(FoundationError, match=message):
        clip_source(spec(model, pretrained))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("open_clip_config.json", None, "open_clip_config.json is missing"),
        ("open_clip_config.json", "{", "is no JSON"),
        ("open_clip_config.json", "{}", "no model_cfg"),
        ("open_clip_model.safetensors", None, "no weights"),
    ],
)
def test_incomplete_folder_is_named(tmp_path, file, content, message):
    foundation = save_clip(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(FoundationError, match=message):
        clip_source(foundation)


def test_tag_that_was_trained_with_quick_gelu_gets_it():
    assert clip_source(spec("ViT-B-16", "openai")).quick_gelu
    assert not clip_source(spec("ViT-B-16", "laion2b_s34b_b88k")).quick_gelu


def test_builtin_is_a_folder_inside_the_package():
    assert builtin_folder().parts[-4:] == ("rayforget", "foundations", "builtin", "weights")
