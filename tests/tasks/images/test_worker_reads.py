"""A worker that starts on a node with cached pixels opens no image: counted in fresh processes."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

START = """
import json, sys, threading

root, cache, source = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
opened, reads = [], []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" and root in str(args[0]) else None)

def count(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_name == "read" and "rayforget/tasks/images/" in code.co_filename:
        reads.append(code.co_filename)

import numpy as np
from pathlib import Path
from rayforget.space.tasks.data import ZeroShotTask
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.pixels import pixel_set
from rayforget.tasks.overlaps import check_overlaps
from rayforget.tasks.resolve import resolve_tasks

class Small:
    key, shape = "small", (3, 4, 4)

    def __call__(self, image):
        return np.asarray(image.convert("RGB").resize((4, 4))).transpose(2, 0, 1)

if source["kind"] == "dataset":
    import datasets  # before anything is counted: its import takes its time

threading.setprofile(count)
sys.setprofile(count)
cut = {"source": source}
task = ZeroShotTask(kind="zero_shot", role="speciality", templates=("{}",), classes=("a", "b"), cut=cut)
tasks = resolve_tasks({"t": task}, hashes=HashStore.in_cache(Path(cache)))
check_overlaps(tasks["t"])
sets = [
    pixel_set(items.source, items.indices, Small(), Path(cache), max_broken=0, what="t")
    for items in tasks["t"].splits.values()
]
sys.setprofile(None)
print(json.dumps({"opened": opened, "reads": len(reads), "items": [each.items_hash for each in sets]}))
"""
NUM_IMAGES = 12


def start_worker(root: Path, source: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-c", START, str(root / "data"), str(root / "cache"), json.dumps(source)]
    environment = {"HF_DATASETS_CACHE": str(root / "library"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def folder_of(root: Path, pictures: list[bytes]) -> dict[str, Any]:
    for number, data in enumerate(pictures):
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (root / "ab"[number % 2] / f"{number}.png").write_bytes(data)
    return {"kind": "folder", "path": str(root)}


def shards_of(root: Path, pictures: list[bytes]) -> dict[str, Any]:
    root.mkdir()
    for shard in range(2):
        with tarfile.open(root / f"{shard}.tar", "w") as archive:
            for number, data in list(enumerate(pictures))[shard::2]:
                for name, content in ((f"{number}.jpg", data), (f"{number}.cls", str(number % 2).encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return {"kind": "webdataset", "shards": f"{root}/{{0..1}}.tar"}


def dataset_of(root: Path, pictures: list[bytes]) -> dict[str, Any]:
    from datasets import ClassLabel, Dataset, Features, Image

    cells = [{"bytes": data, "path": None} for data in pictures]
    labels = [number % 2 for number in range(len(pictures))]
    features = Features({"image": Image(), "label": ClassLabel(names=["a", "b"])})
    root.mkdir()
    Dataset.from_dict({"image": cells, "label": labels}, features=features).to_parquet(str(root / "test-0.parquet"))
    return {"kind": "dataset", "path": str(root), "split": "test"}


@pytest.mark.parametrize(
    ("make", "opens"),
    [
        (folder_of, 0),
        (shards_of, 2),  # headers and labels of each are read, images are not
        pytest.param(dataset_of, None, marks=pytest.mark.slow),
    ],
    ids=["folder", "shards", "data set"],
)
def test_a_second_worker_opens_no_image(tmp_path: Path, picture: Any, make: Any, opens: int | None) -> None:
    source = make(tmp_path / "data", [picture(number) for number in range(NUM_IMAGES)])
    if make is dataset_of:
        start_worker(tmp_path, source)  # the library makes its own copy
    time.sleep(2.1)  # files written just now are not remembered
    first, second = start_worker(tmp_path, source), start_worker(tmp_path, source)
    assert first["items"] == second["items"]
    assert first["reads"] >= NUM_IMAGES
    assert second["reads"] == 0
    if opens is not None:
        assert len(first["opened"]) >= NUM_IMAGES
        assert len([path for path in second["opened"] if path.endswith((".png", ".tar"))]) == opens
