"""Values that are each valid alone but not together are refused at the key to change, with what to do."""

from collections.abc import Callable

import pytest

WORLD = "{kind: world, style: photo, split: val, count: 8}"

CONTRADICTIONS = {
    "a bucket that is said to be a shared disk": (
        {33: "  seed: 0\nresources: {cache: /cache}\nstorage: {path: 's3://b/runs', shared: true}"},
        35,
        "storage.shared",
        "has no effect with path: s3://b/runs",
    ),
    "plain without a constant": (
        {29: "  seeds: 1", 30: ""},
        28,
        "plain.set.learning_rate",
        "is a domain in recipe and the baseline needs one value; add `learning_rate:` under plain.set",
    ),
    "a metric of texts for images": (
        {7: "    metric: bits_per_byte\n    templates: ['a {}']"},
        7,
        "tasks.shapes.metric",
        "found bits_per_byte, which is of texts",
    ),
    "a metric that nobody brings": (
        {7: "    metric: balanced\n    templates: ['a {}']"},
        7,
        "tasks.shapes.metric",
        "did you mean balanced_accuracy?",
    ),
    "a method without a required field": (
        {19: "", 22: "  full: {epochs: 1}", 24: "    epochs: 1", 30: "    learning_rate: 1e-4\n    epochs: 1"},
        25,
        "methods.l2.epochs",
        "is set neither here nor in recipe",
    ),
    "a reserved method name": ({22: "  plain: {}"}, 22, "methods.plain", "give this method another name"),
    "two penalties of a kind": (
        {27: "      - {kind: l2, strength: 1}\n      - {kind: l2, strength: {low: 1, high: 2}}"},
        28,
        "methods.l2.penalties.l2",
        "found more than one of kind l2; write one",
    ),
    "a proximal penalty on LoRA": (
        {24: "    adapter: {kind: lora, rank: 2}\n    penalties: [{kind: l1, strength: 1e-3}]"},
        25,
        "methods.lora.penalties.l1",
        "write kind: l1_coupled",
    ),
    "a layer named twice": (
        {24: "    adapter: {kind: lora, rank: 2, targets: [q_proj, q_proj]}"},
        24,
        "methods.lora.adapter.targets",
        "name each layer once",
    ),
    "a batch that micro-batches do not fill": (
        {20: "  batch_size: 8\n  accumulation: 3"},
        20,
        "recipe.batch_size",
        "make batch_size a multiple of 3",
    ),
    "a batch that workers do not fill, in a domain": (
        {
            20: "  batch_size: {low: 4, high: 16, step: 4}\nresources: {workers_per_slot: 8}",
            30: "    learning_rate: 1e-4\n    batch_size: 8",
        },
        20,
        "recipe.batch_size",
        "found 4 with accumulation 1 and resources.workers_per_slot 8",
    ),
    "a batch of any size": (
        {
            20: "  batch_size: {low: 2, high: 2000000000}\n  accumulation: 2",
            30: "    {learning_rate: 1, batch_size: 8}",
        },
        20,
        "recipe.batch_size",
        "found 3 with accumulation 2",
    ),
    "seeds that do not divide the trainings": ({33: "  seed: 0\n  seeds: 4"}, 32, "search.trainings", "write 8, say"),
    "alphas without an end": (
        {33: "  seed: 0\ncurve:\n  coarse: [0, 0.5]"},
        35,
        "curve.coarse",
        "with 0 and 1 among them: [0.0, 0.5, 1.0]",
    ),
    "alphas out of order": ({33: "  seed: 0\ncurve:\n  coarse: [1, 0]"}, 35, "curve.coarse", "[0.0, 1.0]"),
    "fractions without the end": ({33: "  seed: 0\ncurve:\n  fractions: [0.5]"}, 35, "curve.fractions", "[0.5, 1.0]"),
    "a fraction of nothing": ({33: "  seed: 0\ncurve:\n  fractions: [0, 1]"}, 35, "curve.fractions.0", "above 0"),
    "a tag without effect": (
        {2: "foundation:\n  kind: clip\n  model: builtin\n  pretrained: openai"},
        5,
        "foundation.pretrained",
        "brings its own weights",
    ),
    "random weights": ({2: "foundation: {kind: clip, model: ViT-B-16}"}, 2, "foundation.model", "random weights"),
    "no speciality": ({6: "    role: generality\n    group: a", 8: ""}, 3, "tasks", "none has role: speciality"),
    "no generality": ({13: "    role: speciality", 14: ""}, 3, "tasks", "none has role: generality"),
    "nothing to train on": ({8: ""}, 3, "tasks", "found none with `train:`"),
    "two to train on": (
        {
            10: f"    test: {WORLD[:-1]}, seed: 1}}\n  more:\n    kind: zero_shot\n    role: speciality\n"
            f"    train: {WORLD}\n    val: {WORLD[:-1]}, seed: 2}}\n    test: {WORLD[:-1]}, seed: 3}}"
        },
        11,
        "tasks.more",
        "found shapes and more with `train:`",
    ),
    "a general task to train on": (
        {14: "    group: a\n    train: {kind: world, style: x, split: train, count: 1}"},
        15,
        "tasks.sketch.train",
        "only the speciality is trained on",
    ),
    "generality without a group": ({14: ""}, 13, "tasks.sketch.role", "add `group:`"),
    "a speciality with a group": ({7: "    templates: ['{}']\n    group: a"}, 8, "tasks.shapes.group", "remove it"),
    "no templates at all": ({7: ""}, 4, "tasks.shapes", "add `templates:`"),
    "a template without a place": ({7: "    templates: [a photo]"}, 7, "tasks.shapes.templates.0", "holds {} once"),
    "a class listed twice": (
        {7: "    templates: ['{}']\n    classes: [a, b, a]"},
        8,
        "tasks.shapes.classes.2",
        "'a' twice",
    ),
    "classes beside a suite": (
        {7: "    suite: imagenet\n    classes: [a, b]"},
        8,
        "tasks.shapes.classes",
        "found beside suite: imagenet",
    ),
    "no val": ({9: ""}, 4, "tasks.shapes.val", "has no val; add `val:`"),
    "val and cut": ({16: f"    cut: {{source: {WORLD}}}"}, 15, "tasks.sketch.val", "found beside cut"),
    "the same source twice": ({10: f"    test: {WORLD}"}, 10, "tasks.shapes.test", "is the same source as val"),
    "shares of several GPUs": (
        {33: "  seed: 0\nresources:\n  gpus_per_worker: 1.5"},
        35,
        "resources.gpus_per_worker",
        "write a whole number",
    ),
    "workers of one training that share a GPU": (
        {33: "  seed: 0\nresources:\n  gpus_per_worker: 0.5\n  workers_per_slot: 2"},
        35,
        "resources.gpus_per_worker",
        "found 0.5 with workers_per_slot: 2; the workers of one training need a GPU each",
    ),
    "remote storage without a cache": (
        {33: "  seed: 0\nstorage: {path: 's3://bucket/runs'}\nresources:\n  slots: 1"},
        35,
        "resources.cache",
        "add `cache:`, a folder on each node",
    ),
    "storage in no file system": (
        {33: "  seed: 0\nstorage: {path: 'foo://bucket/runs'}"},
        34,
        "storage.path",
        "there is no such file system",
    ),
    "start-up of a random sampler": (
        {33: "  seed: 0\n  sampler: random\n  startup: 4"},
        35,
        "search.startup",
        "has no effect",
    ),
    "feeding a sampler that cannot eat": (
        {33: "  seed: 0\n  sampler: nsga2\n  feed: all"},
        35,
        "search.feed",
        "found all with sampler: nsga2",
    ),
    "a mirror's place without a mirror": (
        {33: "  seed: 0\ntracking: {enabled: false, uri: 'http://127.0.0.1'}"},
        34,
        "tracking.uri",
        "has no effect",
    ),
}


@pytest.mark.parametrize(("lines", "line", "key", "text"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_one_line_that_names_the_key_to_change(
    told: Callable[[dict[int, str], str], tuple[int, str]], lines: dict[int, str], line: int, key: str, text: str
) -> None:
    found_line, found_text = told(lines, key)
    assert found_line == line
    assert text in found_text
