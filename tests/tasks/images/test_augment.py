import pytest
import torch

from rayforget.tasks.images.augment import _crop, _windows, augment

SIZES = [(1, 5, 5), (3, 7, 9), (64, 16, 16), (2, 1, 1)]


def noise(n: int, h: int, w: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["none", "flip", "crop"])
def test_the_generator_alone_decides(size, kind):
    images = noise(*size)
    before = images.clone()
    first, second = augment(images, kind, seeded(1)), augment(images, kind, seeded(1))
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(images, before)


def test_none_is_the_identity_and_draws_nothing():
    images, generator = noise(3, 5, 5), seeded()
    assert augment(images, "none", generator) is images
    assert torch.equal(generator.get_state(), seeded().get_state())


def test_flip_mirrors_about_half_of_the_images_and_changes_nothing_else():
    images = noise(400, 5, 7)
    flipped = augment(images, "flip", seeded())
    mirrored = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(flipped, images, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored ^ kept).all()
    assert abs(mirrored.float().mean() - 0.5) < 4 * 0.5 / 20


def test_windows_lie_inside_the_image_and_hold_nine_tenths_of_it():
    maps = _windows(5000, seeded())
    width, height = maps[:, 0, 0].abs(), maps[:, 1, 1]
    area = width * height
    assert area.min() >= 0.9 - 1e-6
    assert area.max() <= 1
    assert area.mean() == pytest.approx(0.95, abs=0.003)
    assert ((width + maps[:, 0, 2].abs()) <= 1 + 1e-6).all()
    assert ((height + maps[:, 1, 2].abs()) <= 1 + 1e-6).all()
    assert (maps[:, 0, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.03)
    assert (maps[:, 0, 1] == 0).all()
    assert (maps[:, 1, 0] == 0).all()


def cubic(distance: torch.Tensor) -> torch.Tensor:
    """Keys' kernel with a = -0.75."""
    x, a = distance.abs(), -0.75
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))


def resampling(scale: float, offset: float, size: int) -> torch.Tensor:
    """Row o: the weights of the input's pixels in output pixel o; pixels beyond the edge count as the edge's."""
    weights = torch.zeros(size, size, dtype=torch.float64)
    for out in range(size):
        place = ((scale * ((2 * out + 1) / size - 1) + offset + 1) * size - 1) / 2
        for tap in range(-4, size + 4):
            weights[out, min(max(tap, 0), size - 1)] += cubic(torch.tensor(place - tap, dtype=torch.float64))
    return weights


@pytest.mark.parametrize("size", [(2, 7, 9), (1, 5, 1), (5, 8, 8)])
def test_crop_equals_bicubic_resampling_of_the_window_in_float64(size):
    n, h, w = size
    images, maps = noise(*size), _windows(n, seeded(2)).double()
    cropped = augment(images, "crop", seeded(2)).double()
    for image, result, window in zip(images.double(), cropped, maps.tolist(), strict=True):
        vertical, horizontal = resampling(*window[1][1:], h), resampling(window[0][0], window[0][2], w)
        expected = (vertical @ image @ horizontal.T).clamp(0, 255)
        assert (result - expected).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("size", [(4, 7, 10), (1, 1, 1)])
def test_the_whole_window_is_the_identity(size):
    whole = torch.eye(2, 3).expand(size[0], 2, 3)
    assert torch.equal(_crop(noise(*size), whole), noise(*size))


def test_a_plain_colour_stays_itself():
    images = torch.full((9, 3, 13, 11), 200, dtype=torch.uint8)
    assert torch.equal(augment(images, "crop", seeded()), images)


def test_crop_works_in_chunks(monkeypatch):
    images = noise(5, 8, 8)
    whole = augment(images, "crop", seeded())
    monkeypatch.setattr("rayforget.tasks.images.augment.CHUNK_PIXELS", 2 * 64)
    assert torch.equal(augment(images, "crop", seeded()), whole)


def test_no_images_are_no_images():
    assert augment(noise(0, 4, 4), "crop", seeded()).shape == (0, 3, 4, 4)
