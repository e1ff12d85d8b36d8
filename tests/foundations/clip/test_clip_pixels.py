import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from pydantic import ValidationError

from rayforget.errors import FoundationError
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.pixels import ClipDecoder, Normalisation

SIZES = [(24, 24), (1, 1), (31, 17), (17, 90), (500, 375)]
SETTINGS = [
    {"size": 24, "resize_mode": "shortest"},
    {"size": (24, 24), "resize_mode": "squash", "interpolation": "bilinear"},
    {"size": (24, 40), "resize_mode": "shortest"},
    {"size": (40, 24), "resize_mode": "longest", "fill_color": 77, "mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)},
    {"size": 23, "resize_mode": "squash"},
]


def configuration(setting):
    from dataclasses import asdict

    return asdict(PreprocessCfg(**setting))


def picture(size):
    width, height = size
    return Image.fromarray(np.random.default_rng(sum(size)).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_two_parts_equal_open_clips_transform_to_the_last_bit(setting):
    cfg = configuration(setting)
    transform = image_transform_v2(PreprocessCfg(**cfg), is_train=False)
    decoder, normalisation = ClipDecoder(cfg), Normalisation(cfg)
    for size in SIZES:
        image = picture(size)
        pixels = decoder(image)
        assert pixels.shape == decoder.shape
        assert pixels.dtype == np.uint8
        assert torch.equal(normalisation(torch.from_numpy(pixels)[None])[0], transform(image))


def test_a_batch_is_normalised_as_its_images_alone_and_left_as_it_was():
    normalisation = Normalisation(configuration({"size": 5}))
    pixels = torch.randint(0, 256, (3, 3, 5, 5), dtype=torch.uint8)
    kept = pixels.clone()
    alone = torch.cat([normalisation(image[None]) for image in pixels])
    assert torch.equal(normalisation(pixels), alone)
    assert torch.equal(pixels, kept)


def test_key_tells_decoders_apart_that_give_other_pixels():
    keys = [ClipDecoder(configuration(setting)).key for setting in SETTINGS]
    assert len(set(keys)) == len(SETTINGS)
    same = {**SETTINGS[0], "mean": (0.1, 0.2, 0.3)}
    assert ClipDecoder(configuration(same)).key == keys[0]


@pytest.mark.parametrize("std", [0.0, -0.2, 1e-45, float("nan")])
def test_a_preprocessing_that_gives_no_finite_pixels_is_blamed_as_such(std):
    with pytest.raises(
        FoundationError, match=r"the model's preprocessing takes a mean of .*divides by .*foundation.std"
    ):
        Normalisation(configuration({"size": 5, "std": (0.2, std, 0.2)}))


def test_a_space_that_divides_pixels_by_zero_is_refused():
    common = {"kind": "clip", "model": "ViT-B-32", "pretrained": "/w.pt"}
    assert ClipFoundation(**common, std=(0.2, 0.1, 0.2)).std == (0.2, 0.1, 0.2)
    with pytest.raises(ValidationError, match=r"found \[0.2, 0.0, 0.2\], by which pixels are divided"):
        ClipFoundation(**common, std=(0.2, 0.0, 0.2))
