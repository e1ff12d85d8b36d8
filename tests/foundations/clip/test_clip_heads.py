import pytest
import torch
from tiny_clip import RESNET, TEMPLATES, VIT, save_clip

from rayforget.errors import FoundationError
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.scoring.classifier import filled
from rayforget.foundations.clip.text import class_features, prompt_tokens
from rayforget.interpolate.hashing import state_hash

CPU = torch.device("cpu")
HEADS = ("frozen", "trained", "text")
CLASSES = ("dog", "house", "a guitar")


def setup(folder, head, checkpointing=False, **fields):
    model = load_clip(save_clip(folder, **fields), CPU)
    tokens = prompt_tokens(model.clip, model.tokenizer, CLASSES, TEMPLATES)
    with torch.no_grad():
        classifier = class_features(model.text, tokens, CPU)
    module = build_module(model, head, classifier, gradient_checkpointing=checkpointing)
    size = fields.get("vision", VIT)["image_size"]
    inputs = {"images": torch.randn(5, 3, size, size, generator=torch.Generator().manual_seed(0))}
    if head == "text":
        inputs["tokens"] = tokens[:, 1]
    return model, module, inputs, classifier


@pytest.mark.parametrize("custom_text", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_what_trains_is_what_the_head_says_and_all_of_it_gets_a_gradient(tmp_path, head, custom_text):
    _, module, inputs, _ = setup(tmp_path, head, custom_text=custom_text)
    module(**inputs).square().sum().backward()
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in module.named_parameters() if p.grad is not None}
    names = {name.removeprefix("clip.") for name, _ in module.named_parameters()}
    assert trained == {f"clip.{name}" if head == "text" else name for name in names - {"logit_scale"}}
    assert any(not name.startswith("visual.") for name in names - {"logit_scale"}) == (head != "frozen")
    assert ("head.weight" in names) == (head == "trained")


@pytest.mark.parametrize("head", HEADS)
def test_logits_equal_the_definition(tmp_path, head):
    model, module, inputs, classifier = setup(tmp_path, head)
    with torch.no_grad():
        vectors = model.text_features(inputs["tokens"], {}) if head == "text" else classifier
        expected = model.theta_0["logit_scale"].exp() * model.image_features(inputs["images"], {}) @ vectors.T
        found = module(**inputs)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("head", HEADS)
def test_training_changes_neither_theta_0_nor_the_next_module(tmp_path, head, vision):
    model, module, inputs, classifier = setup(tmp_path, head, vision=vision)
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        module(**inputs).logsumexp(dim=1).sum().backward()
        optimiser.step()
    assert state_hash(model.theta_0) == model.theta_0_hash
    fresh = build_module(model, head, classifier, gradient_checkpointing=False).state_dict()
    trained = module.state_dict()
    assert any(not torch.equal(trained[name], fresh[name]) for name in fresh)
    other = setup(tmp_path, head, vision=vision)[1].state_dict()
    assert all(torch.equal(fresh[name], other[name]) for name in fresh)


@pytest.mark.parametrize("head", HEADS)
def test_building_draws_no_random_number(tmp_path, head):
    model, _, _, classifier = setup(tmp_path, head)
    before = torch.get_rng_state()
    build_module(model, head, classifier, gradient_checkpointing=False)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("custom_text", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_checkpointing_changes_no_gradient(tmp_path, head, custom_text):
    gradients = []
    for checkpointing in (False, True):
        _, module, inputs, _ = setup(tmp_path, head, checkpointing, custom_text=custom_text)
        blocks = [part for part in module.modules() if hasattr(part, "grad_checkpointing")]
        assert [part.grad_checkpointing for part in blocks] == [checkpointing] * (2 if head == "text" else 1)
        module(**inputs).square().sum().backward()
        gradients.append({name: p.grad for name, p in module.named_parameters() if p.grad is not None})
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@pytest.mark.parametrize("vision", [RESNET, VIT | {"qk_norm": True}], ids=["resnet", "custom blocks"])
def test_checkpointing_that_would_have_no_effect_is_refused(tmp_path, vision):
    with pytest.raises(FoundationError, match="gradient_checkpointing has no effect"):
        setup(tmp_path, "frozen", True, vision=vision)


def test_similarity_is_in_full_precision_under_autocast(tmp_path):
    _, module, inputs, _ = setup(tmp_path, "trained")
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(**inputs)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, module(**inputs), rtol=0, atol=0.5)


@pytest.mark.parametrize("head", HEADS)
def test_a_label_of_several_classes_has_the_best_ones_logit(tmp_path, head):
    model, module, inputs, classifier = setup(tmp_path, head)
    groups = ((2, 0), (1,))
    grouped = build_module(model, head, classifier, gradient_checkpointing=False, groups=filled(groups))
    with torch.no_grad():
        logits, found = module(**inputs), grouped(**inputs)
    assert torch.equal(found, torch.stack([logits[:, list(group)].amax(1) for group in groups], dim=1))
    assert dict(grouped.named_parameters()).keys() == dict(module.named_parameters()).keys()
