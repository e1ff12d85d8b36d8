"""mAP equals scikit-learn's, in the rule and through the scorer; its error and what is refused."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import TEMPLATES, save_clip

from rayforget.errors import FoundationError, TaskError
from rayforget.foundations.clip.prepared import prepare_clip
from rayforget.metrics.mean_average_precision import MeanAveragePrecision
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.data import FolderSource, WebdatasetSource, ZeroShotTask
from rayforget.tasks.opening import open_tasks
from rayforget.values.scores import Score

CPU = torch.device("cpu")


def by_definition(logits: np.ndarray, right: np.ndarray) -> float:
    """Average precision of each class, threshold by threshold: sum of (R_n - R_(n-1)) P_n."""
    found = []
    for z, y in zip(logits.T, right.T, strict=True):
        recall, average = 0.0, 0.0
        for threshold in sorted(set(z.tolist()), reverse=True):
            taken = z >= threshold
            now = (y & taken).sum() / max(1, y.sum())
            average += (now - recall) * (y & taken).sum() / taken.sum()
            recall = now
        if y.any():
            found.append(average)
    return float(np.mean(found))


def score_of(logits: np.ndarray, right: np.ndarray) -> Score:
    items = MeanAveragePrecision().results(torch.from_numpy(logits), torch.from_numpy(right)).numpy()
    classes = np.nonzero(right)[1].astype(np.int32)
    return Score(rule="mean_average_precision", items=items.astype(np.float32), classes=classes, items_hash="0")


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (7, 3), (40, 5)])
@pytest.mark.parametrize("ties", [False, True])
def test_the_rule_is_average_precision_over_classes(images: int, classes: int, ties: bool) -> None:
    random = np.random.default_rng(images + classes)
    logits = random.normal(size=(images, classes)).astype(np.float32)
    logits = logits.round() if ties else logits
    right = random.random((images, classes)) < 0.4
    right[0, 0] = True
    assert score_of(logits, right).value == pytest.approx(by_definition(logits, right), rel=1e-6)


def test_scikit_learn_agrees() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(5)
    logits = random.integers(0, 6, (50, 4)).astype(np.float32)
    right = random.random((50, 4)) < 0.3
    expected = metrics.average_precision_score(right, logits, average="macro")
    assert score_of(logits, right).value == pytest.approx(expected, rel=1e-6)


def test_a_perfect_ranking_scores_1_and_its_error_is_0() -> None:
    right = np.array([[True, False], [True, True], [False, False]])
    score = score_of(right.astype(np.float32), right)
    assert score.value == 1.0
    assert score.scored.variances()[0] == pytest.approx(0.0)


def shard(path: Path, labels: list[Any], seed: int) -> WebdatasetSource:
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as archive:
        for index, names in enumerate(labels):
            picture = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(picture, "PNG")
            for ending, data in (("png", picture.getvalue()), ("json", json.dumps({"label": names}).encode())):
                info = tarfile.TarInfo(f"{index}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return WebdatasetSource(kind="webdataset", shards=str(path), image="png", label="json")


VAL = [["old_house"], ["dog", "tree"], [], ["tree", "dog", "dog"], [2], ["old house", "tree"]]


def test_scores_are_those_of_the_models_logits(tmp_path: Path) -> None:
    val, test = shard(tmp_path / "val.tar", VAL, 1), shard(tmp_path / "test.tar", [["dog"], ["tree"]], 2)
    folders = {}
    for seed, split in enumerate(("train", "val", "test")):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            noise = np.random.default_rng([9, seed, ord(name)]).integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / split / name / "x.png")
        folders[split] = FolderSource(kind="folder", path=tmp_path / split)
    tasks = {
        "s": ZeroShotTask(kind="zero_shot", role="speciality", templates=TEMPLATES, **folders),
        "many": ZeroShotTask(
            kind="zero_shot",
            role="generality",
            group="g",
            metric="mean_average_precision",
            classes=("dog", "old house", "tree", "horse"),
            val=val,
            test=test,
        ),
    }
    opened: Any = open_tasks(tasks)
    ready = prepare_clip(save_clip(tmp_path / "m"), opened, cache=tmp_path / "c", device=CPU, evaluation_batch=4)
    (scores,) = ready.scorer(None).score([{}], "val")
    assert isinstance(scores, dict)
    right = np.zeros((6, 4), dtype=bool)
    for image, names in enumerate([[1], [0, 2], [], [0, 2], [2], [1, 2]]):
        right[image, names] = True
    pixels = ready._pixels("many", "val").pixels
    with torch.no_grad():
        images = ready.model.image_features(ready.model.normalisation(torch.from_numpy(pixels.copy())), {})
        logits = (images @ ready._vectors.of_theta_0(opened["many"]).T).numpy()
    assert scores["many"].value == pytest.approx(by_definition(logits, right), rel=1e-5)
    assert scores["many"].classes is not None
    assert scores["many"].classes.tolist() == [1, 0, 2, 0, 2, 2, 1, 2]
    assert scores["many"].items_hash == ready.scorer(None).items_by_task("val")["many"]
    fisher = Recipe(method="m", head="frozen", learning_rate=1e-3, epochs=1, batch_size=2, seed=0)
    with pytest.raises(FoundationError, match="several classes"):
        ready.learner(fisher, ("many", "val"))


def test_a_name_that_is_no_class_is_refused_and_names_come_from_the_data(tmp_path: Path) -> None:
    sources = {
        "val": shard(tmp_path / "a.tar", [["x", "b_b"], ["a"]], 0),
        "test": shard(tmp_path / "b.tar", [["q"]], 1),
    }
    common: dict[str, Any] = {"kind": "zero_shot", "role": "generality", "group": "g", "templates": ("{}",)}
    task = ZeroShotTask(**common, metric="mean_average_precision", **sources)
    with pytest.raises(
        TaskError, match=r"tasks\.t\.test: label without a class name: 'q'; expected names such as a, b"
    ):
        open_tasks({"t": task})
    found: Any = open_tasks({"t": task.model_copy(update={"test": sources["val"]})})
    assert found["t"].class_names == ("a", "b b", "x")
