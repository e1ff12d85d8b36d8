"""Images and captions: recall@k against sorting, the loss against open_clip's, what is drawn, and what is refused."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from tiny_clip import TEMPLATES, fused_clip, save_clip

from rayforget.errors import FoundationError, TaskError
from rayforget.foundations.clip.pairs import PairLearner, class_prompts
from rayforget.foundations.clip.prepared import PreparedClip, prepare_clip
from rayforget.foundations.clip.scoring import recall
from rayforget.foundations.clip.scoring.recall import found_among_k
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.data import Cut, DatasetSource, FolderSource, WebdatasetSource, ZeroShotTask
from rayforget.space.tasks.retrieval import RetrievalTask
from rayforget.tasks.images.captions import captions_of
from rayforget.tasks.opening import open_tasks
from rayforget.train.trainer import Trainer

CPU = torch.device("cpu")
COLOURS = ("red", "green", "blue", "white", "black", "yellow")


def recipe(**fields: Any) -> Recipe:
    base = {"method": "m", "head": "text", "objective": "contrastive", "learning_rate": 1e-3, "epochs": 1, "seed": 0}
    return Recipe(**(base | {"batch_size": 4, "weight_decay": 0.0} | fields))


def shard(path: Path, captions: list[str], seed: int) -> WebdatasetSource:
    """One picture of noise for each entry."""
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as archive:
        for index, text in enumerate(captions):
            picture = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(picture, "PNG")
            for ending, data in (("png", picture.getvalue()), ("txt", text.encode())):
                info = tarfile.TarInfo(f"{index:03d}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return WebdatasetSource(kind="webdataset", shards=str(path), image="png", label="txt")


VAL = ["a dog\na brown dog", "a house", "12", "a dog\n  a small   dog \n\n", "a tree"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedClip:
    root = tmp_path_factory.mktemp("pairs")
    splits = {
        "train": shard(root / "train.tar", [f"a {c} house\n{c}" for c in COLOURS], 0),
        "val": shard(root / "val.tar", VAL, 1),
        "test": shard(root / "test.tar", ["a garden", "a cat"], 2),
    }
    scored = {split: splits[split] for split in ("val", "test")}
    common: dict[str, Any] = {"kind": "retrieval", "role": "generality", "group": "g"}
    tasks = {
        "pairs": RetrievalTask(kind="retrieval", role="speciality", direction="image_to_text", **splits),
        "images": RetrievalTask(**common, direction="text_to_image", k=2, **scored),
        "texts": RetrievalTask(**common, direction="image_to_text", k=2, **scored),
    }
    opened: Any = open_tasks(tasks)
    return prepare_clip(save_clip(root / "model"), opened, cache=root / "cache", device=CPU, evaluation_batch=3)


def by_sorting(queries: torch.Tensor, candidates: torch.Tensor, pairs: list[tuple[int, int]], k: int) -> list[bool]:
    found = []
    for i, query in enumerate(queries):
        products = (candidates @ query).tolist()
        order = sorted(range(len(products)), key=lambda j: -products[j])  # stable: equal ones keep their order
        found.append(any((i, j) in pairs for j in order[:k]))
    return found


@pytest.mark.parametrize("k", [1, 3, 50])
@pytest.mark.parametrize(("queries", "candidates"), [(1, 1), (7, 4), (5, 33)])
def test_recall_is_what_sorting_finds(monkeypatch: Any, queries: int, candidates: int, k: int) -> None:
    generator = torch.Generator().manual_seed(queries * candidates + k)
    q, c = (torch.randint(-1, 2, (n, 3), generator=generator).float() for n in (queries, candidates))  # many ties
    pairs = sorted({(i, int(torch.randint(candidates, (), generator=generator))) for i in [*range(queries)] * 2})
    columns = torch.tensor([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])
    expected = by_sorting(q, c, pairs, k)
    assert found_among_k(q, c, columns, k).tolist() == expected
    monkeypatch.setattr(recall, "_MAX_PRODUCTS", 2 * candidates)
    assert found_among_k(q, c, columns, k).tolist() == expected


def test_equal_captions_are_one_that_several_images_have() -> None:
    found = captions_of(["a dog", "a cat\na dog\na cat"], np.array([1, 0, 1]))
    assert found.texts == ("a cat", "a dog")
    assert list(zip(found.images, found.owned, strict=True)) == [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)]


def test_scores_are_open_clips_over_the_splits_own_captions(prepared: PreparedClip) -> None:
    texts = ["a dog", "a brown dog", "a house", "12", "a small dog", "a tree"]
    pairs = [(0, 0), (0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5)]
    (scores,) = prepared.scorer(None).score([{}], "val")
    images = prepared._pixels("pairs", "val")
    clip = prepared.model.clip
    with torch.no_grad():
        x = F.normalize(clip.encode_image(prepared.model.normalisation(torch.from_numpy(images.pixels.copy()))), dim=-1)
        y = F.normalize(clip.encode_text(prepared.model.tokenizer(texts)), dim=-1)
    assert isinstance(scores, dict)
    assert scores["pairs"].items.tolist() == by_sorting(x, y, pairs, 1)
    assert scores["texts"].items.tolist() == by_sorting(x, y, pairs, 2)
    assert scores["images"].items.tolist() == by_sorting(y, x, [(j, i) for i, j in pairs], 2)
    assert scores["texts"].value == pytest.approx(sum(by_sorting(x, y, pairs, 2)) / 5)
    assert {name: score.rule for name, score in scores.items()} == {
        "pairs": "recall_at_1", "images": "recall_at_2", "texts": "recall_at_2",
    }  # fmt: skip
    hashes = prepared.scorer(None).items_by_task("val")
    assert {name: score.items_hash for name, score in scores.items()} == hashes
    assert len(set(hashes.values())) == 2  # the items are images or captions
    (test,) = prepared.scorer(None).score([{}], "test")
    assert isinstance(test, dict)
    assert test["texts"].value == 1.0  # two captions, k = 2


def test_another_text_tower_finds_other_captions(prepared: PreparedClip) -> None:
    moved = {name: torch.randn_like(tensor) for name, tensor in prepared.theta_0.items() if "token_emb" in name}
    start, other = prepared.scorer(recipe()).score([{}, moved], "val")
    assert isinstance(start, dict) and isinstance(other, dict)  # noqa: PT018
    assert any((start[name].items != other[name].items).any() for name in start)
    (broken,) = prepared.scorer(recipe()).score([{name: tensor * torch.nan for name, tensor in moved.items()}], "val")
    assert not isinstance(broken, dict)


def test_the_loss_and_its_gradients_are_open_clips(prepared: PreparedClip, tmp_path: Path) -> None:
    from open_clip.loss import ClipLoss

    learner = prepared.learner(recipe())
    batch = learner.batch(torch.tensor([4, 0, 2]), torch.Generator().manual_seed(0))
    trainer = Trainer(learner, recipe(), seed=0)
    loss = trainer._loss_of(batch, last=True) / len(batch.targets)
    loss.backward()
    clip = fused_clip(save_clip(tmp_path))  # the same random weights
    images = clip.encode_image(batch.inputs["images"], normalize=True)
    padded = F.pad(batch.inputs["tokens"], (0, clip.context_length - batch.inputs["tokens"].shape[1]))
    expected = ClipLoss()(images, clip.encode_text(padded, normalize=True), clip.logit_scale.exp())
    expected.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    for name in ("visual.proj", "text_projection", "token_embedding.weight"):
        found = learner.module.get_parameter(f"clip.{name}").grad
        torch.testing.assert_close(found, clip.get_parameter(name).grad, atol=1e-5, rtol=1e-4)
    assert learner.module.get_parameter("clip.logit_scale").grad is None
    assert prepared.theta_0.keys() == learner.canonical(learner.module.state_dict()).keys()


def test_each_image_comes_with_one_of_its_own_captions_and_in_time_with_all(prepared: PreparedClip) -> None:
    learner = prepared.learner(recipe())
    assert isinstance(learner, PairLearner)
    texts = [f"a {c} house" for c in COLOURS], list(COLOURS)
    of_image = [prepared.model.tokenizer(list(both)) for both in zip(*texts, strict=True)]
    seen = set()
    for seed in range(12):
        batch = learner.batch(torch.tensor([5, 1]), torch.Generator().manual_seed(seed))
        assert batch.targets.tolist() == [0, 1, 0, 1]
        for image, tokens in zip((5, 1), batch.inputs["tokens"], strict=True):
            own = [which for which in (0, 1) if torch.equal(tokens, of_image[image][which, : len(tokens)])]
            assert len(own) == 1
            seen.add((image, own[0]))
    assert seen == {(5, 0), (5, 1), (1, 0), (1, 1)}


def test_training_on_pairs_finds_them(prepared: PreparedClip) -> None:
    settings = recipe(learning_rate=3e-3, epochs=12, batch_size=6)
    learner = prepared.learner(settings)
    trainer = Trainer(learner, settings, seed=0)
    losses = []
    while trainer.step < trainer.total_steps:
        trainer.take_step()
        losses.append(trainer.facts()["loss"])
    assert losses[-1] < 0.5 * losses[0]
    theta_1 = trainer.theta_1()
    changed = {name for name, start in prepared.theta_0.items() if not torch.equal(start, theta_1[name])}
    assert {"visual.proj", "text_projection"} <= changed
    assert "logit_scale" not in changed


def test_class_prompts_are_the_class_in_each_template_and_a_labels_every_class() -> None:
    found = class_prompts(np.array([1, 0]), [(0, 2), (1,)], 3)
    assert found.images.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert found.owned.tolist() == [3, 4, 5, 0, 1, 2, 6, 7, 8]


def test_flyp_pairs_an_image_with_a_prompt_of_its_class(tmp_path: Path) -> None:
    sources = {}
    for seed, split in enumerate(("train", "val", "test")):
        for name in ("dog", "old_house"):
            (tmp_path / split / name).mkdir(parents=True)
            noise = np.random.default_rng([seed, len(name)]).integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / split / name / "x.png")
        sources[split] = FolderSource(kind="folder", path=tmp_path / split)
    task = ZeroShotTask(kind="zero_shot", role="speciality", templates=TEMPLATES, **sources)
    opened: Any = open_tasks({"s": task})
    ready = prepare_clip(save_clip(tmp_path / "m"), opened, cache=tmp_path / "c", device=CPU, evaluation_batch=2)
    learner = ready.learner(recipe(batch_size=2))
    prompts = [ready.model.tokenizer([t.replace("{}", name) for t in TEMPLATES]) for name in ("dog", "old house")]
    drawn = set()
    for seed in range(20):
        batch = learner.batch(torch.tensor([1, 0]), torch.Generator().manual_seed(seed))
        for name, tokens in zip((1, 0), batch.inputs["tokens"], strict=True):
            drawn |= {(name, t) for t in range(3) if torch.equal(tokens, prompts[name][t, : len(tokens)])}
    assert drawn == {(name, t) for name in (0, 1) for t in range(3)}
    for_fisher = ready.learner(recipe(batch_size=2), ("s", "val"))
    assert not isinstance(for_fisher, PairLearner)  # one pair alone has no loss


def test_pairs_are_learnt_by_the_contrastive_loss_alone(prepared: PreparedClip) -> None:
    with pytest.raises(FoundationError, match="only the contrastive loss learns; write objective: contrastive and"):
        prepared.learner(recipe(objective="cross_entropy"))
    with pytest.raises(FoundationError, match="one such pair alone has no loss; name a task with classes"):
        prepared.learner(recipe(), ("pairs", "val"))


def test_a_data_sets_captions_are_texts_or_lists_of_them(tmp_path: Path) -> None:
    import datasets

    def opened(captions: list[Any]) -> Any:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        pictures = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(len(captions))]
        datasets.Dataset.from_dict({"image": pictures, "caption": captions}).save_to_disk(str(folder))
        source = DatasetSource(kind="dataset", path=str(folder), split="train", label="caption")
        task = RetrievalTask(
            kind="retrieval", role="generality", group="g", direction="image_to_text", cut=Cut(source=source)
        )
        images: Any = open_tasks({"t": task})["t"]
        names, labels = images.splits["val"].source.class_names, images.splits["val"].source.labels
        return [names[label].split("\n") for label in labels]

    assert opened(["a dog", "3"]) == [["a dog"], ["3"]]
    several = [["a dog", "dog"], ["a cat\n sits"], ["a dog", "dog"]]
    assert opened(several) == [["a dog", "dog"], ["a cat sits"], ["a dog", "dog"]]
    with pytest.raises(TaskError, match=r"tasks\.t\.cut: .* #1: column 'caption' holds .*, expected captions"):
        opened([["a dog"], []])
    with pytest.raises(TaskError, match="column 'caption' holds '3', expected captions as a text"):
        opened([3, 4])
