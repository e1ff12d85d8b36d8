"""Every kind of tower that open_clip builds, small: loaded, equal to open_clip's, and trained by every head."""

import pytest
import torch
from tiny_clip import TEMPLATES, TEXT, VIT, fused_clip, save_clip

from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.text import class_features, prompt_tokens

KINDS = {
    "CoCa": {
        "vision": VIT
        | {"attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 5, "output_tokens": True},
        "text": TEXT | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 20, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 1},
        "custom_text": True,
    },
    "logit bias": {"init_logit_bias": -10, "custom_text": True},
    "timm": {"vision": {"timm_model_name": "resnet10t", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32}},
    "custom blocks": {"vision": VIT | {"qk_norm": True}},
    "constant positions": {"vision": VIT | {"ls_init_value": 0.1, "pos_embed_type": "sin_cos_2d", "pool_type": "avg"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_loaded_as_open_clip_has_it_and_trained_by_every_head(tmp_path, kind):
    spec = save_clip(tmp_path, **KINDS[kind])
    model, clip = load_clip(spec, torch.device("cpu")), fused_clip(spec)
    assert model.theta_0.keys() == {name for name, x in clip.state_dict().items() if x.is_floating_point()}
    size = KINDS[kind].get("vision", VIT)["image_size"]
    images, texts = torch.randn(2, 3, size, size), model.tokenizer(["a dog", "cat"])
    with torch.no_grad():
        expected = clip.encode_image(images, normalize=True)
        torch.testing.assert_close(model.image_features(images, {}), expected, rtol=0, atol=1e-6)
        expected = clip.encode_text(texts, normalize=True)
        torch.testing.assert_close(model.text_features(texts, {}), expected, rtol=0, atol=1e-6)
        tokens = prompt_tokens(model.clip, model.tokenizer, ("dog", "cat"), TEMPLATES)
        classifier = class_features(model.text, tokens, model.device)
    for head in ("frozen", "trained", "text"):
        module = build_module(model, head, classifier, gradient_checkpointing=False)
        logits = module(images=images, **({"tokens": texts} if head == "text" else {}))
        assert logits.shape == (2, 2)
        logits.logsumexp(1).sum().backward()
        assert all(p.requires_grad == (p.grad is not None) for p in module.parameters())
