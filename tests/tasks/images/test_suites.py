import subprocess
import sys
from pathlib import Path

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.data import FolderSource, WebdatasetSource
from rayforget.tasks.images.opening import open_source
from rayforget.tasks.images.suites import load_suite

ANYWHERE = FolderSource(kind="folder", path=Path("/nowhere"))
TENCH, GOLDFISH, SHARK, STINGRAY, TISSUE = "n01440764", "n01443537", "n01484850", "n01498041", "n15075141"


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("imagenet", 1000, {TENCH: (0, "tench"), GOLDFISH: (1, "goldfish"), TISSUE: (999, "toilet paper")}),
        ("imagenet_sketch", 1000, {TENCH: (0, "tench"), TISSUE: (999, "toilet paper")}),
        ("imagenet_r", 200, {GOLDFISH: (0, "goldfish"), SHARK: (1, "great white shark")}),
        ("imagenet_a", 200, {STINGRAY: (0, "stingray")}),
    ],
)
def test_folders_named_by_wordnet_id_map_to_the_sets_own_classes(name, count, some):
    suite = load_suite(name, ANYWHERE)
    assert (suite.num_classes, len(suite.class_names), len(set(suite.class_ids))) == (count, count, count)
    assert suite.class_groups is None
    for folder, (label, class_name) in some.items():
        assert (suite.folders[folder], suite.class_names[label], suite.class_ids[label]) == (label, class_name, folder)


def test_subsets_keep_imagenets_order_and_names():
    whole = load_suite("imagenet", ANYWHERE)
    for name in ("imagenet_r", "imagenet_a"):
        subset = load_suite(name, ANYWHERE)
        positions = [whole.class_ids.index(wnid) for wnid in subset.class_ids]
        assert positions == sorted(positions)
        assert [whole.class_names[at] for at in positions] == list(subset.class_names)


def test_every_suite_brings_the_eighty_prompts():
    templates = load_suite("imagenet_v2", ANYWHERE).templates
    assert len(templates) == 80
    assert all(template.count("{}") == 1 for template in templates)
    assert templates[0] == "a bad photo of a {}."
    assert templates[-1] == "a tattoo of the {}."


def test_folders_of_v2_are_numbers_and_not_words(image_folder):
    root = image_folder("v2", {"0": 1, "1": 1, "10": 1, "2": 1, "999": 1})
    images = open_source(FolderSource(kind="folder", path=root), suite="imagenet_v2")
    assert [images.label(index) for index in range(5)] == [0, 1, 10, 2, 999]


def test_a_few_of_the_folders_are_enough_and_labels_stay_the_suites(image_folder):
    root = image_folder("r", {SHARK: 1, GOLDFISH: 2})
    images = open_source(FolderSource(kind="folder", path=root), suite="imagenet_r")
    assert [images.label(index) for index in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("folder", ["n00000000", "dog", TENCH])
def test_a_folder_that_is_none_of_the_suites_is_an_error(image_folder, folder):
    root = image_folder("r", {SHARK: 1, folder: 1})
    with pytest.raises(TaskError, match=f"label without a class name: '{folder}'"):
        open_source(FolderSource(kind="folder", path=root), suite="imagenet_r")


def test_objectnet_comes_as_folders_only():
    with pytest.raises(TaskError, match="expected kind: folder"):
        load_suite("objectnet", WebdatasetSource(kind="webdataset", shards="/x.tar"))


def test_names_are_had_without_importing_torch_open_clip_or_timm():
    code = (
        "import sys; from pathlib import Path; from rayforget.space.tasks.data import FolderSource;"
        "from rayforget.tasks.images.suites import load_suite; import rayforget.tasks.resolve;"
        "load_suite('imagenet', FolderSource(kind='folder', path=Path('x')));"
        "print(sorted({'torch', 'open_clip', 'timm', 'datasets', 'ray'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
