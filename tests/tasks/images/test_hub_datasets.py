import datasets
import pyarrow
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from pyarrow import parquet

from rayforget.errors import TaskError
from rayforget.space.tasks.data import DatasetSource
from rayforget.tasks.hub_split import commit_in
from rayforget.tasks.images.hub import DatasetImages


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def table(picture, labels, *, label=None, first=0, split=None):
    cells = [{"bytes": picture(first + i), "path": None} for i in range(len(labels))]
    features = Features({"image": Image(), "label": label or ClassLabel(names=["apple_pie", "bread"])})
    return Dataset.from_dict({"image": cells, "label": labels}, features=features, split=split)


def source(path, split="test", **others):
    return DatasetSource(kind="dataset", path=str(path), split=split, **others)


def test_a_parquet_folder_gives_undecoded_bytes_labels_and_names(tmp_path, picture):
    (tmp_path / "set").mkdir()
    table(picture, [1, 0, 1]).to_parquet(tmp_path / "set" / "test-00000-of-00001.parquet")
    images = DatasetImages(source(tmp_path / "set"))
    assert images.class_names == ("apple_pie", "bread")
    assert [images.label(i) for i in range(len(images))] == [1, 0, 1]
    assert [images.read(i) for i in (2, 0)] == [picture(2), picture(0)]
    assert images.name(2) == f"{tmp_path}/set[test] #2"
    assert images.revision is None
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["test-00000-of-00001.parquet"]


def test_save_to_disk_gives_the_wanted_split(tmp_path, picture):
    splits = DatasetDict({"train": table(picture, [0]), "test": table(picture, [1, 1], first=5)})
    splits.save_to_disk(tmp_path / "both")
    assert DatasetImages(source(tmp_path / "both")).read(1) == picture(6)
    with pytest.raises(TaskError, match=r"no split 'val'; found \['test', 'train'\]"):
        DatasetImages(source(tmp_path / "both", "val"))
    table(picture, [0], split="train").save_to_disk(tmp_path / "one")
    assert len(DatasetImages(source(tmp_path / "one", "train"))) == 1
    with pytest.raises(TaskError, match="saved as 'train' alone"):
        DatasetImages(source(tmp_path / "one", "test"))


def test_an_arrow_folder_is_read_as_well(tmp_path, picture):
    table(picture, [1, 0]).save_to_disk(tmp_path / "saved")
    (tmp_path / "arrow").mkdir()
    (tmp_path / "saved" / "data-00000-of-00001.arrow").rename(tmp_path / "arrow" / "test-0.arrow")
    images = DatasetImages(source(tmp_path / "arrow"))
    assert [images.label(0), images.read(1)] == [1, picture(1)]


def test_plain_integers_have_no_names_and_other_columns_may_be_chosen(tmp_path, picture):
    saved = table(picture, [3, 4], label=Value("int64")).rename_columns({"image": "img", "label": "fine_label"})
    saved.save_to_disk(tmp_path / "set")
    images = DatasetImages(source(tmp_path / "set", image="img", label="fine_label"))
    assert images.class_names is None
    assert images.label(1) == 4


def test_broken_and_empty_cells_stay_readable(tmp_path):
    cells = [{"bytes": b"no image", "path": None}, None]
    features = Features({"image": Image(), "label": Value("int32")})
    Dataset.from_dict({"image": cells, "label": [0, 0]}, features=features).save_to_disk(tmp_path / "set")
    images = DatasetImages(source(tmp_path / "set"))
    assert [images.read(0), images.read(1)] == [b"no image", b""]


def test_wrong_columns_are_named(tmp_path, picture):
    table(picture, [0, 1]).save_to_disk(tmp_path / "set")
    with pytest.raises(TaskError, match=r"no column 'img'; found \['image', 'label'\]"):
        DatasetImages(source(tmp_path / "set", image="img"))
    with pytest.raises(TaskError, match="expected images"):
        DatasetImages(source(tmp_path / "set", image="label"))
    table(picture, [0.5], label=Value("float32")).save_to_disk(tmp_path / "text")
    with pytest.raises(TaskError, match="expected class indices or names"):
        DatasetImages(source(tmp_path / "text"))
    table(picture, [None, 1]).save_to_disk(tmp_path / "unlabelled")
    with pytest.raises(TaskError, match="1 items have no label"):
        DatasetImages(source(tmp_path / "unlabelled"))


def test_missing_data_is_an_error_that_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # otherwise it tries for 20 s
    with pytest.raises(TaskError, match="no such folder"):
        DatasetImages(source(tmp_path / "none"))
    with pytest.raises(TaskError, match=r"download it once: .*load_dataset\('nobody/nothing', 'small', split='test'\)"):
        DatasetImages(source("nobody/nothing", config="small"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match="expected Parquet or Arrow files"):
        DatasetImages(source(tmp_path / "empty"))


def test_the_commit_is_found_in_where_a_data_set_came_from():
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert commit_in(f"hf://datasets/owner/name@{commit}", "9f3a") == commit
    assert commit_in("hf://datasets/owner/name", None) is None


def test_texts_are_names_and_bools_indices(tmp_path, picture):
    table(picture, ["dog", "cat", "dog"], label=Value("string")).save_to_disk(tmp_path / "text")
    images = DatasetImages(source(tmp_path / "text"))
    assert (images.class_names, images.labels_are_names) == (("cat", "dog"), True)
    assert [images.label(i) for i in range(3)] == [1, 0, 1]
    table(picture, [True, False], label=Value("bool")).save_to_disk(tmp_path / "bool")
    assert DatasetImages(source(tmp_path / "bool")).label(0) == 1
    several = table(picture, [["a", "b"], ["a"]], label=datasets.Sequence(Value("string")))
    several.save_to_disk(tmp_path / "several")
    with pytest.raises(TaskError, match="`metric: mean_average_precision` scores several of one image"):
        DatasetImages(source(tmp_path / "several"))


def test_metadata_csv_names_the_images_of_its_folder(tmp_path, picture):
    (tmp_path / "set").mkdir()
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / f"{name}.png").write_bytes(picture(number))
    (tmp_path / "set" / "metadata.csv").write_text("file_name,label\ncat.png,cat\ndog.png,dog\n")
    images = DatasetImages(source(tmp_path / "set", "train"))
    assert {images.class_names[images.label(i)]: images.read(i) for i in range(2)} == {
        "cat": picture(0), "dog": picture(1),
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/etc/passwd", "/dev/zero", "../secret.png", "no.png"])
def test_a_cell_may_name_no_file_outside_the_data_sets_folder(tmp_path, picture, path):
    (tmp_path / "secret.png").write_bytes(picture(0))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "own.png").write_bytes(picture(1))
    cells = [{"bytes": None, "path": path}, {"bytes": None, "path": str(tmp_path / "set" / "own.png")}]
    column = pyarrow.array(cells, pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}))
    parquet.write_table(pyarrow.table({"image": column, "label": [0, 1]}), tmp_path / "set" / "test.parquet")
    images = DatasetImages(source(tmp_path / "set"))
    assert images.read(1) == picture(1)
    with pytest.raises(TaskError, match="the image cell names the file"):
        images.read(0)
