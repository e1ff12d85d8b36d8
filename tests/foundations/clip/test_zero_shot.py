from dataclasses import replace

import numpy as np
import pytest
import torch
from open_clip import build_zero_shot_classifier
from tiny_clip import RESNET, VIT, fused_clip, random_pixels, save_clip, task

from rayforget.errors import FoundationError, TaskError
from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.names import HEAD
from rayforget.foundations.clip.scoring.scorer import ZeroShotScorer
from rayforget.metrics.accuracy import Accuracy

CPU = torch.device("cpu")
CLASSES = ("dog", "house", "guitar", "horse", "person")
TASKS = {
    "speciality": task("speciality", CLASSES, role="speciality", group=None),
    "some": task("some", ("person", "house")),
    "grouped": task("grouped", ("horse", "dog", "guitar"), class_groups=((0, 1), (2,))),
    "others": task("others", ("red", "green", "blue")),
    "prompts": task("prompts", CLASSES, templates=("{}!",)),
}
COUNTS = {"speciality": 23, "some": 1, "grouped": 6, "others": 9, "prompts": 14}


def pixels_of(size):
    return {
        name: random_pixels(count, TASKS[name].num_classes, size=size, seed=count) for name, count in COUNTS.items()
    }


class World:
    """A small model, its tasks' pixels, and open_clip's own results with other weights."""

    def __init__(self, root, vision=VIT):
        self.pixels = pixels_of(vision["image_size"])
        spec, other = (save_clip(root / str(seed), vision=vision, seed=seed) for seed in (0, 1))
        self.model = load_clip(spec, CPU)
        self.other = dict(load_clip(other, CPU).theta_0)
        self.clip = fused_clip(spec)

    def scorer(self, head, batch_size=8, metric="accuracy"):
        vectors = ClassVectors(self.model)
        return ZeroShotScorer(
            self.model,
            vectors,
            {name: replace(each, metric=metric) for name, each in TASKS.items()},
            lambda name, split: self.pixels[name],
            speciality="speciality",
            head=head,
            batch_size=batch_size,
        )

    def part(self, *prefixes):
        return {name: tensor for name, tensor in self.other.items() if name.startswith(prefixes)}

    def text(self):
        return {name: tensor for name, tensor in self.other.items() if not name.startswith(("visual.", "logit"))}

    @torch.no_grad()
    def reference(self, theta, head):
        """open_clip's own model with these weights, one image at a time, with the rules written out."""
        clip = self.clip
        clip.load_state_dict({**self.model.theta_0})
        zero_shot_0 = self.classifier(TASKS["speciality"])
        state = {name: tensor for name, tensor in {**self.model.theta_0, **theta}.items() if name != HEAD}
        counters = {name: x for name, x in clip.state_dict().items() if not x.is_floating_point()}
        clip.load_state_dict({**state, **counters})
        results = {}
        for name, each in TASKS.items():
            by_speciality = name in ("speciality", "some", "grouped") and head != "text"
            vectors = zero_shot_0 if by_speciality else self.classifier(each)
            if by_speciality and head == "trained":
                vectors = theta.get(HEAD, zero_shot_0)
            names = CLASSES if by_speciality else each.class_names
            groups = each.class_groups or tuple((index,) for index in range(len(each.class_names)))
            right = []
            for pixels, label in zip(self.pixels[name].pixels, self.pixels[name].labels, strict=True):
                image = self.model.normalisation(torch.from_numpy(pixels[None].copy()))
                logits = (clip.encode_image(image) @ vectors.T)[0]
                scores = [max(logits[names.index(each.class_names[at])] for at in group) for group in groups]
                right.append(int(np.argmax(scores)) == label)
            results[name] = right
        return results

    def classifier(self, each):
        return build_zero_shot_classifier(self.clip, self.model.tokenizer, each.class_names, each.templates).T


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def items(scores):
    return {name: score.items.tolist() for name, score in scores.items()}


@pytest.mark.parametrize("head", [None, "frozen", "trained", "text"])
def test_scores_equal_open_clips_one_image_at_a_time(world, head):
    thetas = [{}, world.part("visual."), world.part("visual.proj")]
    if head == "trained":
        generator = torch.Generator().manual_seed(0)
        thetas.append(world.part("visual.") | {HEAD: torch.randn(len(CLASSES), 24, generator=generator)})
    if head in (None, "text"):
        thetas.append(world.part("visual.") | world.text())
    found = world.scorer(head).score(thetas, "val")
    assert [items(scores) for scores in found] == [world.reference(theta, head) for theta in thetas]
    for scores in found:
        for name, score in scores.items():
            assert score.rule == "accuracy"
            assert score.items.dtype == np.bool_
            assert score.items_hash == world.pixels[name].items_hash
            assert score.count == COUNTS[name]


@pytest.mark.parametrize(
    ("results", "told"),
    [
        (lambda logits, labels: logits.softmax(dim=-1)[:, 0], "other than 0 and 1 for task .*right_or_wrong = False"),
        (
            lambda logits, labels: (logits.argmax(dim=-1) == labels).float().mean(),
            r"of shape \(\) for \d items; expected",
        ),
    ],
)
def test_results_that_are_not_what_the_metric_says_are_refused(world, results, told):
    scorer = world.scorer(None)
    wrong = type("Wrong", (Accuracy,), {"results": staticmethod(results)})
    scorer._judges = {name: wrong() for name in scorer.tasks}
    with pytest.raises(TaskError, match=told):
        scorer.score([{}], "val")


def test_balanced_accuracy_is_made_of_the_same_items_with_their_classes(world):
    (plain,), (balanced,) = (
        world.scorer(None, metric=metric).score([{}], "val") for metric in ("accuracy", "balanced_accuracy")
    )
    for name, score in balanced.items():
        labels = world.pixels[name].labels
        assert (score.rule, score.package) == ("balanced_accuracy", None)
        np.testing.assert_array_equal(score.items, plain[name].items)
        np.testing.assert_array_equal(score.classes, labels)
        recalls = [score.items[labels == label].mean() for label in np.unique(labels)]
        assert score.value == pytest.approx(np.mean(recalls))
        assert plain[name].classes is None
    assert world.scorer(None).identity != world.scorer(None, metric="balanced_accuracy").identity


def test_other_weights_give_other_scores(world):
    """Otherwise the comparison above would prove nothing."""
    before, after = world.scorer("text").score([{}, world.part("visual.") | world.text()], "val")
    assert items(before) != items(after)


def test_batch_norms_buffers_are_part_of_the_model(tmp_path):
    world = World(tmp_path, vision=RESNET)
    statistics = {
        name: tensor.abs() + torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0))
        for name, tensor in world.part("visual.").items()
        if "running" in name
    }
    thetas = [{}, statistics, world.part("visual.") | statistics]
    found = [items(scores) for scores in world.scorer("frozen").score(thetas, "val")]
    assert found == [world.reference(theta, "frozen") for theta in thetas]
    assert found[0] != found[1]


@pytest.mark.parametrize("batch_size", [1, 5, 53, 1000])
def test_ragged_batches_and_company_change_nothing(world, batch_size):
    thetas = [{}, world.part("visual."), world.part("visual.") | world.text()]
    expected = world.scorer("text", batch_size=8).score(thetas, "val")
    together = world.scorer("text", batch_size=batch_size).score(thetas, "val")
    alone = [world.scorer("text", batch_size=batch_size).score([theta], "val")[0] for theta in thetas]
    assert [items(scores) for scores in together] == [items(scores) for scores in expected]
    assert [items(scores) for scores in alone] == [items(scores) for scores in expected]


def test_no_model_gives_no_scores(world):
    assert world.scorer("frozen").score([], "val") == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_model_that_is_not_finite_has_no_scores_and_its_neighbours_have_theirs(world, value):
    broken = {"visual.proj": torch.full_like(world.other["visual.proj"], value)}
    before, lost, after = world.scorer("frozen").score([{}, broken, world.part("visual.")], "val")
    assert lost == NotFinite(items=COUNTS)
    alone = world.scorer("frozen").score([{}, world.part("visual.")], "val")
    assert [items(before), items(after)] == [items(scores) for scores in alone]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_class_vectors_that_are_not_finite_cost_the_tasks_that_they_serve(world, value):
    broken = {"text_projection": torch.full_like(world.other["text_projection"], value)}
    assert world.scorer("text").score([broken], "val") == [NotFinite(items=COUNTS)]
    assert world.scorer("frozen").score([broken], "val") == [NotFinite(items={"others": 9, "prompts": 14})]
    head = torch.randn(len(CLASSES), 24, generator=torch.Generator().manual_seed(0))
    head[CLASSES.index("dog"), 0] = value
    assert world.scorer("trained").score([{HEAD: head}], "val") == [NotFinite(items={"speciality": 23, "grouped": 6})]


def test_trained_classifier_of_another_head_is_refused(world):
    with pytest.raises(FoundationError, match=r"head\.weight belongs to models trained with head: trained"):
        world.scorer("frozen").score([{HEAD: torch.zeros(5, 24)}], "val")


def test_identity_tells_scorers_apart_that_would_score_otherwise(world):
    identities = {world.scorer(head, batch_size=size).identity for head in ("frozen", "text") for size in (1, 2)}
    assert len(identities) == 4
    assert world.scorer("frozen").identity == world.scorer("frozen").identity


def test_text_tower_equal_to_theta_0s_scores_as_none(world):
    text = {name: tensor for name, tensor in world.model.theta_0.items() if not name.startswith("visual.")}
    one, other = world.scorer("text").score([{}, text], "val")
    assert items(one) == items(other)
