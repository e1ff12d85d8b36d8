import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import RESNET, VIT, fused_clip, save_clip

from rayforget.errors import FoundationError
from rayforget.foundations.clip.model import load_clip
from rayforget.interpolate.hashing import state_hash

CPU = torch.device("cpu")


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("custom_text", [False, True])
def test_theta_0_holds_open_clips_floating_tensors_under_its_names(tmp_path, vision, custom_text):
    spec = save_clip(tmp_path, vision=vision, custom_text=custom_text)
    model = load_clip(spec, CPU)
    expected = {name: x for name, x in fused_clip(spec).state_dict().items() if x.is_floating_point()}
    assert model.theta_0.keys() == expected.keys()
    assert all(torch.equal(model.theta_0[name], tensor) for name, tensor in expected.items())
    assert model.theta_0_hash == state_hash(expected)


def test_half_precision_file_is_loaded_into_full(tmp_path):
    spec = save_clip(tmp_path, dtype=torch.float16)
    model = load_clip(spec, CPU)
    assert all(tensor.dtype == torch.float32 for tensor in model.theta_0.values())
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in model.theta_0.values())
    assert model.theta_0_hash == state_hash(model.theta_0)


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin", "mine.pth"])
def test_a_folders_weights_may_have_a_wrappers_names_and_others_beside_them(tmp_path, caplog, name):
    spec = save_clip(tmp_path)
    expected = load_clip(spec, CPU).theta_0_hash
    file = tmp_path / "open_clip_model.safetensors"
    tensors = {f"module._orig_mod.{key}": tensor for key, tensor in load_file(file).items()}
    tensors |= {"ema_step": torch.zeros(1), "module._orig_mod.text.position_ids": torch.zeros(1, 4)}
    file.unlink()
    if name.endswith(".safetensors"):
        save_file(tensors, tmp_path / name)
    else:
        torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / name)
    with caplog.at_level(logging.WARNING):
        assert load_clip(spec, CPU).theta_0_hash == expected
    assert f"{name}: the model has no place for ema_step; they are not read" in caplog.text


def test_a_folder_of_another_size_says_that_its_positions_are_resized(tmp_path, caplog):
    spec = save_clip(tmp_path)
    config = json.loads((tmp_path / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["image_size"] *= 2
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        load_clip(spec, CPU)
    assert "visual.positional_embedding is of" in caplog.text
    assert "open_clip resizes it" in caplog.text


def test_a_folder_with_several_files_of_weights_is_asked_which(tmp_path):
    spec = save_clip(tmp_path)
    expected = load_clip(spec, CPU).theta_0_hash
    tensors = load_file(tmp_path / "open_clip_model.safetensors")
    for epoch in (1, 2):
        torch.save(tensors, tmp_path / f"epoch_{epoch}.pth")
    assert load_clip(spec, CPU).theta_0_hash == expected
    (tmp_path / "open_clip_model.safetensors").unlink()
    with pytest.raises(FoundationError, match=r"epoch_1\.pth, epoch_2\.pth may all be its weights; name one by"):
        load_clip(spec, CPU)
    for epoch in (1, 2):
        (tmp_path / f"epoch_{epoch}.pth").rename(tmp_path / f"epoch_{epoch}.pt")
    with pytest.raises(FoundationError, match=r"no weights; .*\(found epoch_1\.pt, epoch_2\.pt: name one by"):
        load_clip(spec, CPU)


@torch.no_grad()
@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("custom_text", [False, True])
def test_towers_with_other_weights_equal_open_clip_with_these_weights_loaded(tmp_path, vision, custom_text):
    fields = {"vision": vision, "custom_text": custom_text}
    model = load_clip(save_clip(tmp_path / "a", seed=0, **fields), CPU)
    spec = save_clip(tmp_path / "b", seed=1, **fields)
    other, theta = fused_clip(spec), load_clip(spec, CPU).theta_0
    images = torch.randn(3, 3, vision["image_size"], vision["image_size"])
    tokens = model.tokenizer(["a dog", "the house"])
    found = model.image_features(images, model.visual_weights(theta))
    torch.testing.assert_close(found, other.encode_image(images, normalize=True), rtol=0, atol=1e-6)
    found = model.text_features(tokens, model.text_weights(theta))
    torch.testing.assert_close(found, other.encode_text(tokens, normalize=True), rtol=0, atol=1e-6)
    own = fused_clip(save_clip(tmp_path / "a", seed=0, **fields)).encode_image(images, normalize=True)
    torch.testing.assert_close(model.image_features(images, {}), own, rtol=0, atol=1e-6)


def test_configuration_and_theta_0_make_the_same_model_again(tmp_path):
    import json

    from safetensors.torch import save_file

    model = load_clip(save_clip(tmp_path / "a", quick_gelu=True), CPU)
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(dict(model.config)))
    save_file(dict(model.theta_0), folder / "open_clip_model.safetensors")
    again = load_clip(
        save_clip(tmp_path / "a", quick_gelu=True).model_copy(update={"model": f"local-dir:{folder}"}), CPU
    )
    images = torch.randn(2, 3, 24, 24)
    assert again.theta_0_hash == model.theta_0_hash
    assert again.decoder.key == model.decoder.key
    assert torch.equal(again.image_features(images, {}), model.image_features(images, {}))


def test_patch_dropout_is_off(tmp_path):
    model = load_clip(save_clip(tmp_path, vision=VIT | {"patch_dropout": 0.5}), CPU)
    visual = model.clip.visual.train()
    images = torch.randn(2, 3, 24, 24)
    assert torch.equal(visual(images), visual(images))


def test_weights_of_another_model_are_refused(tmp_path):
    save_clip(tmp_path / "a")
    other = save_clip(tmp_path / "b", vision=VIT | {"layers": 1})
    (tmp_path / "b/open_clip_model.safetensors").write_bytes((tmp_path / "a/open_clip_model.safetensors").read_bytes())
    with pytest.raises(FoundationError, match="must belong together"):
        load_clip(other, CPU)


def test_hub_that_does_not_answer_is_an_error_with_advice(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec = save_clip_name("hf-hub:nobody/no-such-model")
    with pytest.raises(FoundationError, match=r"check the name on huggingface\.co and the network"):
        load_clip(spec, CPU)


def save_clip_name(name):
    from rayforget.foundations.clip.config import ClipFoundation

    return ClipFoundation(kind="clip", model=name)
