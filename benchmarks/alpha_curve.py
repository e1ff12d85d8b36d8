"""An alpha curve in one pass over the images, against one evaluation per alpha that reads them all again.

The other side does what the WiSE-FT authors' script does: for every alpha, interpolate the state dict, load it into
open_clip's own model, build the data set (an ImageFolder under open_clip's evaluation transform) and read it with
a DataLoader. Same images, same weights, same batch size, same class vectors; the scores must be equal, item by item.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from verdict import print_machine, print_target

from rayforget.builtin.pictures.world import COLORS, SHAPES, STYLES, draw
from rayforget.evaluate.finite import require_finite
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.prepared import PreparedClip, prepare_clip
from rayforget.foundations.clip.source import builtin_folder, clip_source
from rayforget.foundations.protocol import State
from rayforget.interpolate.lerp import changed_tensors
from rayforget.record.scores_cache import ScoresCache
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo, space_digest
from rayforget.space.models import Space
from rayforget.space.tasks.data import ZeroShotTask
from rayforget.tasks.resolve import resolve_tasks
from rayforget.trial.alpha_models import Ends
from rayforget.trial.curve import score_spots
from rayforget.trial.equipment import Equipment
from rayforget.values.points import Spot

TASK = "photos"
SIZE = (500, 375)
QUALITY = 90
Hits = Mapping[float, NDArray[np.bool_]]
"""alpha -> whether each image is right."""


def draw_images(folder: Path, count: int, seed: int) -> None:
    """JPEGs of ImageNet's usual size in one folder per class: pictures of the built-in world under noise.

    The noise is of all scales, as in photographs, and makes the files about as large as ImageNet's.
    """
    width, height = SIZE
    for index in range(count):
        generator = np.random.default_rng([seed, index])
        shape, color = SHAPES[index % len(SHAPES)], str(generator.choice(COLORS))
        style = STYLES[index // len(SHAPES) % len(STYLES)]
        picture = Image.new("RGB", SIZE, (128, 128, 128))
        picture.paste(draw(shape, color, 1, style, generator, size=height), ((width - height) // 2, 0))
        pixels = np.asarray(picture, dtype=np.float32)
        for cells in (8, 24, 72, 200, width):
            coarse = generator.normal(0, 20 / cells**0.2, (cells * height // width, cells)).astype(np.float32)
            layer = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
            pixels = pixels + np.asarray(layer)[:, :, None]
        (folder / shape).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / shape / f"{index:05d}.jpg", quality=QUALITY)


def space_of(folder: Path, model: str, batch_size: int) -> Space:
    """A space over the drawn images; only `val` is read."""
    tree: dict[str, Any] = {
        "name": "alpha_curve",
        "foundation": {"kind": "clip", "model": model},
        "tasks": {
            TASK: {
                "kind": "zero_shot",
                "role": "speciality",
                "templates": ["a photo of a {}"],
                **{split: {"kind": "folder", "path": str(folder / split)} for split in ("train", "val", "test")},
            },
            "others": {
                "kind": "zero_shot",
                "role": "generality",
                "group": "distribution",
                **{split: {"kind": "folder", "path": str(folder / split)} for split in ("val", "test")},
            },
        },
        "recipe": {"learning_rate": 1e-4, "epochs": 1, "batch_size": 8},
        "methods": {"full": {}},
        "plain": {},
        "search": {"trainings": 1, "seed": 0},
        "resources": {"evaluation_batch": batch_size, "cache": str(folder / "cache")},
        "storage": {"path": str(folder / "runs")},
    }
    return Space.model_validate(tree)


def open_equipment(space: Space, cache: Path) -> tuple[Equipment, PreparedClip]:
    """A worker's equipment with one task; nothing is decoded yet."""
    storage = Store.open(space.storage.path)
    resolved = space.model_dump(mode="json")
    info = SweepInfo(name=f"of-{cache.name}", space_name=space.name, created=0.0, space_digest=space_digest(resolved))
    device = torch.device("cpu")
    tasks = {name: task for name, task in space.tasks.items() if isinstance(task, ZeroShotTask)}
    foundation = prepare_clip(
        ClipFoundation.model_validate(space.foundation.model_dump()),
        {TASK: resolve_tasks(tasks)[TASK]},
        cache=cache,
        device=device,
        evaluation_batch=space.resources.evaluation_batch,
    )
    equipment = Equipment(
        space=space,
        foundation=foundation,
        sweep=Sweep.create(storage, info, space_text="", space=resolved),
        device=device,
        provenance={},
        scores_cache=ScoresCache(storage),
    )
    return equipment, foundation


def perturbed(theta_0: State, seed: int, share: float) -> dict[str, Tensor]:
    """theta_1: moves every weight of the image tower by a `share` of its tensor's spread."""
    generator = torch.Generator().manual_seed(seed)
    moved = {}
    for name, tensor in theta_0.items():
        spread = float(tensor.std()) if tensor.numel() > 1 else 0.0
        noise = torch.randn(tensor.shape, generator=generator) * (share * spread)
        moved[name] = tensor + noise if name.startswith("visual.") else tensor
    return moved


def one_pass(equipment: Equipment, theta_1: State, alphas: Sequence[float]) -> tuple[float, Hits]:
    """Seconds and hits of our curve."""
    began = time.perf_counter()
    theta_0 = equipment.foundation.theta_0
    ends = Ends(theta_0=theta_0, theta_1=changed_tensors(theta_0, theta_1), layers={})  # the lerp ignores layers
    scored = score_spots(
        equipment.models(ends), [Spot(alpha) for alpha in alphas], equipment.foundation.scorer(None), "val", equipment
    )
    seconds = time.perf_counter() - began
    scores = {
        spot.alpha: require_finite(found, "val", model=str(spot), advice="choose other alphas")
        for spot, found in scored.items()
    }
    return seconds, {alpha: np.asarray(scores[alpha][TASK].items, dtype=bool) for alpha in alphas}


class SeparateEvaluations:
    """open_clip's own model, loaded and evaluated again for every alpha."""

    def __init__(self, model: str, folder: Path, batch_size: int) -> None:
        import open_clip

        source = clip_source(ClipFoundation(kind="clip", model=model))
        self.clip: nn.Module
        self.clip, _, self.transform = open_clip.create_model_and_transforms(source.name, precision="fp32")
        self.clip.eval()
        self._folder, self._batch_size = folder, batch_size
        tokens = open_clip.get_tokenizer(source.name)([f"a photo of a {name}" for name in sorted(SHAPES)])
        with torch.inference_mode():
            features: Tensor = self.clip.encode_text(tokens, normalize=True)  # type: ignore[operator]
            # As in CLIP's zero-shot classifier: the mean over prompts (here one), normalised again.
            self._classes = nn.functional.normalize(features, dim=-1)

    def curve(
        self, theta_0: State, theta_1: State, alphas: Sequence[float], num_workers: int
    ) -> tuple[float, Hits, list[float]]:
        """Seconds, hits, and the seconds of each evaluation."""
        began, hits, each = time.perf_counter(), {}, []
        for alpha in alphas:
            start = time.perf_counter()
            theta = {name: torch.lerp(theta_0[name], theta_1[name], alpha) for name in theta_0}
            self.clip.load_state_dict({**self.clip.state_dict(), **theta})
            hits[alpha] = self._evaluate(num_workers)
            each.append(time.perf_counter() - start)
        return time.perf_counter() - began, hits, each

    @torch.inference_mode()
    def _evaluate(self, num_workers: int) -> NDArray[np.bool_]:
        from torchvision.datasets import ImageFolder

        images = ImageFolder(str(self._folder), transform=self.transform)
        loader = DataLoader(images, batch_size=self._batch_size, shuffle=False, num_workers=num_workers)
        right = []
        for batch, labels in loader:
            features: Tensor = self.clip.encode_image(batch, normalize=True)  # type: ignore[operator]
            right.append((features @ self._classes.T).argmax(dim=1) == labels)
        found: NDArray[np.bool_] = torch.cat(right).numpy()
        return found


def compare(ours: Hits, theirs: Hits) -> None:
    """Asserts that both give the same, item by item, and prints the curve."""
    for alpha, hits in ours.items():
        same = bool(np.array_equal(hits, theirs[alpha]))
        assert same, f"alpha {alpha:g}: {int((hits != theirs[alpha]).sum())} of {len(hits)} items differ"
    curve = "  ".join(f"{alpha:g}: {hits.mean():.6f}" for alpha, hits in ours.items())
    print(f"  accuracy at alpha {curve}\n  the same on both sides to the last digit, item by item", flush=True)


def chosen_model(asked: str) -> str:
    """The model asked for; clip_real of the shared data if the built-in one has no weights."""
    if asked != "builtin" or builtin_folder().is_dir():
        return asked
    shared = Path(os.environ.get("RAYFORGET_SHARED", "../shared")).resolve() / "data" / "clip_real"
    print(f"no built-in weights at {builtin_folder()}: {shared} instead")
    return f"local-dir:{shared}"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="builtin", help="builtin, or local-dir:FOLDER in open_clip's format")
    parser.add_argument("--images", type=int, default=400, help="JPEGs of 500 x 375")
    parser.add_argument("--points", type=int, default=11, help="alphas from 0 to 1")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--move", type=float, default=0.1, help="how far theta_1 is, in spreads of each tensor")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print_machine(given.threads)
    alphas = [round(float(alpha), 6) for alpha in np.linspace(0, 1, given.points)]
    with tempfile.TemporaryDirectory(prefix="rayforget-alpha-") as temporary:
        folder, model = Path(temporary), chosen_model(given.model)
        for seed, (split, count) in enumerate((("train", 0), ("val", given.images), ("test", 0))):
            draw_images(folder / split, max(count, len(SHAPES)), seed=seed)
        kib = [path.stat().st_size / 1024 for path in (folder / "val").rglob("*.jpg")]
        print(
            f"{len(kib)} JPEGs of {SIZE[0]} x {SIZE[1]}, {statistics.mean(kib):.0f} KiB on average, {len(alphas)} "
            f"alphas, {model}, batch {given.batch}; the files are in the system's page cache for both sides"
        )
        began = time.perf_counter()
        peer = SeparateEvaluations(model, folder / "val", given.batch)
        took = time.perf_counter() - began
        print(f"loading the model takes {took:.1f} s; both sides do it once, and no figure below holds it")
        run(space_of(folder, model, given.batch), folder, peer, alphas, given.move)


def run(space: Space, folder: Path, peer: SeparateEvaluations, alphas: Sequence[float], move: float) -> None:
    """Runs both sides on a first and a second theta_1."""
    warm_up, _ = open_equipment(space, folder / "warm-up")
    theta_0 = warm_up.foundation.theta_0
    first, second = (perturbed(theta_0, seed, move) for seed in (1, 2))
    one_pass(warm_up, first, alphas[:1])  # warms up kernels, threads and imports; its cache is discarded
    shutil.rmtree(folder / "warm-up")

    tried = {}
    for num_workers in (0, 2):
        tried[num_workers], _, _ = peer.curve(theta_0, first, alphas[:1], num_workers)
    best = min(tried, key=lambda num_workers: tried[num_workers])
    print(
        f"one separate evaluation: {tried[0]:.2f} s with num_workers 0, {tried[2]:.2f} s with 2; "
        f"the faster for them is used: {best}"
    )

    equipment, _ = open_equipment(space, folder / "cache")
    print(f"\nfirst trial's curve, {len(alphas)} points, nothing decoded yet")
    ours, hits = one_pass(equipment, first, alphas)
    theirs, expected, each = peer.curve(theta_0, first, alphas, best)
    print(f"  one pass: {ours:.2f} s; separate: {theirs:.2f} s (median {statistics.median(each):.2f} s each)")
    compare(hits, expected)
    print_target("separate evaluations over one pass", theirs / ours, at_least=3)

    print(f"\nsecond trial's curve, another theta_1, {len(alphas)} points, the set cached by the first")
    ours, hits = one_pass(equipment, second, alphas)
    theirs, expected, each = peer.curve(theta_0, second, alphas, best)
    print(f"  one pass: {ours:.2f} s; separate: {theirs:.2f} s (median {statistics.median(each):.2f} s each)")
    compare(hits, expected)
    print_target("separate evaluations over one pass", theirs / ours, at_least=5)


if __name__ == "__main__":
    main()
