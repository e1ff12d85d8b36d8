from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import TEMPLATES, save_clip

from rayforget.errors import FoundationError
from rayforget.foundations.clip.names import HEAD
from rayforget.foundations.clip.prepared import prepare_clip
from rayforget.heartbeat import heard_by
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import changed_tensors
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.data import FolderSource, ZeroShotTask
from rayforget.tasks.resolve import resolve_tasks
from rayforget.train.ahead import Ahead, parts_of

CPU = torch.device("cpu")
HEADS = ("frozen", "trained", "text")


def recipe(**fields):
    base = {"method": "m", "head": "frozen", "learning_rate": 1e-3, "epochs": 1, "batch_size": 4, "seed": 0}
    return Recipe(**(base | fields))


def folder(root, per_class, seed):
    random = np.random.default_rng(seed)
    for name, count in per_class.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            height, width = random.integers(20, 40, 2)
            Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(
                root / name / f"{index}.png"
            )
    return FolderSource(kind="folder", path=root)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    counts = {"dog": 3, "guitar": 1, "old_house": 3}
    splits = {split: folder(root / split, counts, seed) for seed, split in enumerate(("train", "val", "test"))}
    other = {split: folder(root / "other" / split, {"dog": 1, "horse": 1}, 9) for split in ("val", "test")}
    tasks = resolve_tasks(
        {
            "speciality": ZeroShotTask(kind="zero_shot", role="speciality", templates=TEMPLATES, **splits),
            "other": ZeroShotTask(kind="zero_shot", role="generality", group="task", **other),
        }
    )
    spec = save_clip(root / "model")
    return prepare_clip(spec, tasks, cache=root / "cache", device=CPU, evaluation_batch=4)


@pytest.mark.parametrize("head", HEADS)
def test_untrained_module_has_the_initial_weights_to_the_last_bit(prepared, head):
    learner, initial = prepared.learner(recipe(head=head)), prepared.initial(recipe(head=head))
    weights = {**learner.module.state_dict(), **dict(learner.module.named_buffers())}
    found = learner.canonical(weights)
    assert found.keys() == initial.keys()
    assert (HEAD in found) == (head == "trained")
    assert all(torch.equal(found[name], initial[name]) for name in initial)
    assert changed_tensors(initial, found) == {}
    assert state_hash({name: found[name] for name in prepared.theta_0}) == prepared.theta_0_hash


@pytest.mark.parametrize("head", HEADS)
def test_every_tensor_of_a_recipe_has_a_layer(prepared, head):
    layers = prepared.layers(recipe(head=head))
    assert layers.keys() == prepared.initial(recipe(head=head)).keys()
    assert {layer.depth for layer in layers.values()} >= {0.0, 1.0}


@pytest.mark.parametrize("head", HEADS)
def test_canonical_values_are_those_of_the_module(prepared, head):
    learner = prepared.learner(recipe(head=head))
    with torch.no_grad():
        for parameter in learner.module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    found = learner.canonical(learner.module.state_dict())
    changed = changed_tensors(prepared.initial(recipe(head=head)), found)
    parts = {"frozen": ("visual.",), "trained": ("visual.", HEAD), "text": ("",)}[head]
    assert changed.keys() == {name for name in found if name.startswith(parts) and name != "logit_scale"}
    attention = "visual.transformer.resblocks.1.attn"
    values = {name.removeprefix("clip."): tensor for name, tensor in learner.module.state_dict().items()}
    packed = torch.cat([values[f"{attention}.{part}_proj.weight"] for part in "qkv"])
    assert torch.equal(found[f"{attention}.in_proj_weight"], packed)
    assert torch.equal(found["visual.proj"], values["visual.proj"])


def test_name_that_the_module_does_not_have_is_refused(prepared):
    learner = prepared.learner(recipe())
    with pytest.raises(FoundationError, match=r"no such tensors in the model: visual\.nothing"):
        learner.canonical({**learner.module.state_dict(), "visual.nothing": torch.zeros(1)})


@pytest.mark.parametrize("fields", [{"head": "text"}, {"head": "text", "objective": "contrastive"}, {}])
@pytest.mark.parametrize("augmentation", ["none", "flip", "crop"])
def test_batches_made_ahead_are_the_same_and_pixels_travel_as_bytes(prepared, fields, augmentation):
    settings = recipe(**fields, augmentation=augmentation, epochs=2)
    learner = prepared.learner(settings)
    pixels = learner._train.pixels[0].nbytes
    first = None
    for threads in (0, 2):
        made = Ahead(learner, parts_of(learner, settings, 3), total_steps=3, threads=threads)
        steps = [made.of(step)[0] for step in range(3)]
        first = steps if threads == 0 else first
    for own, other in zip(steps, first, strict=True):
        assert torch.equal(own.targets, other.targets)
        assert all(torch.equal(tensor, other.inputs[name]) for name, tensor in own.inputs.items())
    raw = learner.raw(torch.arange(4), torch.Generator())
    assert sum(tensor.nbytes for tensor in (*raw.inputs.values(), raw.targets)) <= 4 * (pixels + 6 * 4 + 8 + 8 + 8)


@pytest.mark.parametrize("head", HEADS)
def test_batch_has_the_images_of_its_indices_as_open_clip_prepares_them(prepared, head):
    learner = prepared.learner(recipe(head=head))
    assert learner.num_items == 7
    indices = torch.tensor([6, 0, 3])
    batch = learner.batch(indices, torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(np.array(learner._train.pixels))[indices]
    assert torch.equal(batch.inputs["images"], prepared.model.normalisation(pixels))
    assert batch.targets.tolist() == [2, 0, 1]
    assert batch.targets.dtype == torch.long
    assert set(batch.inputs) == ({"images", "tokens"} if head == "text" else {"images"})
    assert learner.module(**batch.inputs).shape == (3, 3)


def test_batch_follows_from_the_generator_alone(prepared):
    learner = prepared.learner(recipe(head="text", augmentation="crop"))
    indices = torch.arange(7)
    first, again = (learner.batch(indices, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(first.inputs[name], again.inputs[name]) for name in first.inputs)
    other = learner.batch(indices, torch.Generator().manual_seed(4))
    assert not torch.equal(first.inputs["images"], other.inputs["images"])


def test_text_head_sees_every_template_and_one_at_a_time(prepared):
    learner = prepared.learner(recipe(head="text"))
    whole = prepared._vectors.tokens(prepared._tasks["speciality"])
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(30):
        tokens = learner.batch(torch.tensor([0]), generator).inputs["tokens"]
        (template,) = [index for index in range(whole.shape[1]) if torch.equal(tokens, whole[:, index])]
        seen.add(template)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("head", HEADS)
def test_learner_leaves_nothing_behind(prepared, head):
    first = prepared.learner(recipe(head=head)).module
    optimiser = torch.optim.SGD([p for p in first.parameters() if p.requires_grad], lr=1.0)
    learner = prepared.learner(recipe(head=head))
    first(**learner.batch(torch.arange(4), torch.Generator()).inputs).logsumexp(1).sum().backward()
    optimiser.step()
    assert state_hash(prepared.theta_0) == prepared.theta_0_hash
    weights = prepared.learner(recipe(head=head)).module.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in learner.module.state_dict().items())


def test_head_must_be_chosen(prepared):
    with pytest.raises(FoundationError, match=r"recipe\.head is missing"):
        prepared.learner(recipe(head=None))


def test_start_of_every_head_scores_as_theta_0(prepared):
    (expected,) = prepared.scorer(None).score([{}], "val")
    for head in HEADS:
        scorer = prepared.scorer(recipe(head=head))
        (found,) = scorer.score([prepared.initial(recipe(head=head))], "val")
        assert {name: score.items.tolist() for name, score in found.items()} == {
            name: score.items.tolist() for name, score in expected.items()
        }
    assert len(expected["speciality"].items) == 7
    assert prepared.scorer(None).items_hash("val") != prepared.scorer(None).items_hash("test")


def test_one_task_is_trained_on_or_none_and_then_nothing_can_be_trained(prepared, tmp_path):
    tasks = {"other": prepared._tasks["other"]}
    with pytest.raises(FoundationError, match="at most one task may have train, found no speciality"):
        type(prepared)(prepared.model, tasks, cache=tmp_path, evaluation_batch=1)
    special = prepared._tasks["speciality"]
    untrained = replace(special, splits={name: items for name, items in special.splits.items() if name != "train"})
    given = type(prepared)(prepared.model, {**tasks, "speciality": untrained}, cache=tmp_path, evaluation_batch=1)
    ((found,), (expected,)) = (each.scorer(None).score([{}], "val") for each in (given, prepared))
    assert {name: score.items.tolist() for name, score in found.items()} == {
        name: score.items.tolist() for name, score in expected.items()
    }
    with pytest.raises(FoundationError, match="task speciality has no train; it has val, test"):
        given.learner(recipe(head="frozen"))


def test_a_pass_over_images_beats_with_every_batch(prepared):
    heard, scorer = [], prepared.scorer(None)
    scorer.items_hash("val")
    with heard_by(lambda *said: heard.append(said)):
        (scores,) = scorer.score([{}], "val")
    batches = [said for said in heard if said[0] == "score images"]
    assert batches == [("score images", first, 9) for first in (0, 4, 8)]
    assert scorer.items_by_task("val") == {name: score.items_hash for name, score in scores.items()}


def test_broken_images_are_facts_of_training_and_of_scoring(tmp_path):
    splits = {
        split: folder(tmp_path / split, {"dog": 2, "cat": 2}, seed) for seed, split in enumerate(("train", "val"))
    }
    for source in splits.values():
        (Path(source.path) / "dog" / "1.png").write_bytes(b"no image")
    splits = {split: source.model_copy(update={"max_broken": 1}) for split, source in splits.items()}
    test = folder(tmp_path / "test", {"dog": 1, "cat": 1}, 7)
    task = ZeroShotTask(kind="zero_shot", role="speciality", templates=TEMPLATES, **splits, test=test)
    found = prepare_clip(
        save_clip(tmp_path / "model"),
        resolve_tasks({"speciality": task}),
        cache=tmp_path / "cache",
        device=CPU,
        evaluation_batch=4,
    )
    names = {split: [str(Path(source.path) / "dog" / "1.png")] for split, source in splits.items()}
    assert found.learner(recipe()).facts == {"broken": {"speciality": names["train"]}}
    assert found.scorer(None).facts("val") == {"broken": {"speciality": names["val"]}}
    assert found.scorer(None).facts("test") == {}


@torch.no_grad()
def answers_of(learner):
    """Whether each item's largest logit is its target's, asked one by one."""
    right = []
    for item in range(learner.num_items):
        batch = learner.batch(torch.tensor([item]), torch.Generator())
        right.append(bool((learner.module(**batch.inputs).argmax(1) == batch.targets).item()))
    return right


@pytest.mark.parametrize("head", ["frozen", "trained"])
@pytest.mark.parametrize("data", [("speciality", "val"), ("other", "val"), ("other", "test")])
def test_a_learner_of_a_split_answers_at_theta_0_as_scoring_does(prepared, head, data):
    task, split = data
    learner = prepared.learner(recipe(head=head, augmentation="crop"), data)
    (scores,) = prepared.scorer(None).score([{}], split)
    assert answers_of(learner) == scores[task].items.tolist()


@pytest.mark.parametrize("data", [("speciality", "train"), ("speciality", "val"), ("other", "val")])
@pytest.mark.parametrize("head", HEADS)
def test_its_weights_are_those_of_the_training_and_nothing_in_it_is_random(prepared, head, data):
    settings = recipe(head=head, augmentation="crop")
    learner, trained = prepared.learner(settings, data), prepared.learner(settings)
    names = dict(trained.module.named_parameters()).keys()
    missing = {HEAD} if head == "trained" and data[0] == "other" else set()
    assert dict(learner.module.named_parameters()).keys() == names - missing
    weights = {**learner.module.state_dict(), **dict(learner.module.named_buffers())}
    assert learner.canonical(weights).keys() == prepared.initial(settings).keys()
    first, second = (learner.batch(torch.tensor([1]), torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert all(torch.equal(tensor, second.inputs[name]) for name, tensor in first.inputs.items())
    assert first.targets.equal(second.targets)


def test_with_a_text_head_its_own_prompts_take_turns(prepared):
    learner = prepared.learner(recipe(head="text"), ("other", "val"))
    tokens = prepared._vectors.tokens(prepared._tasks["other"])
    for item in range(learner.num_items):
        batch = learner.batch(torch.tensor([item]), torch.Generator())
        assert torch.equal(batch.inputs["tokens"], tokens[:, item % len(TEMPLATES)])


def test_other_items_or_classes_have_another_hash(prepared):
    chosen = [("speciality", "train"), ("speciality", "val"), ("other", "val")]
    hashes = [prepared.learner(recipe(), data).data_hash for data in chosen]
    assert len(set(hashes)) == 3
    assert prepared.learner(recipe()).data_hash == hashes[0]


@pytest.mark.parametrize("data", [("nothing", "val"), ("other", "train")])
def test_a_split_that_is_not_there_is_named(prepared, data):
    with pytest.raises(FoundationError, match=r"no task 'nothing'; write one of|task other has no train; it has val"):
        prepared.learner(recipe(), data)
