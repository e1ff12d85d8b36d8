import gzip
import io
import tarfile
from pathlib import Path

import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.data import WebdatasetSource
from rayforget.tasks.images import gzip_random
from rayforget.tasks.images.opening import open_source
from rayforget.tasks.images.shards import ShardImages, expand_shards


def write_shard(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_items_of_several_shards_are_read_at_random(tmp_path, picture):
    for shard in range(2):
        samples = {}
        for item in range(3):
            samples[f"train/{shard}{item}.jpg"] = picture(10 * shard + item, kind="jpeg")
            samples[f"train/{shard}{item}.cls"] = str(item).encode()
            samples[f"train/{shard}{item}.json"] = b"{}"
        write_shard(tmp_path / f"val-{shard:03d}.tar", samples)
    images = open_source(WebdatasetSource(kind="webdataset", shards=str(tmp_path / "val-{000..001}.tar")))
    assert len(images) == 6
    assert images.class_names is None
    assert [images.label(i) for i in range(6)] == [0, 1, 2, 0, 1, 2]
    assert [images.read(i) for i in (5, 0)] == [picture(12, kind="jpeg"), picture(0, kind="jpeg")]
    assert images.name(4) == f"{tmp_path}/val-001.tar:train/11.jpg"


def test_label_and_image_may_come_in_any_order_and_under_other_extensions(tmp_path, picture):
    write_shard(
        tmp_path / "a.tar", {"x.label.txt": b" 7\n", "y.PNG": picture(1), "x.png": picture(0), "y.label.txt": b"8"}
    )
    images = ShardImages(str(tmp_path / "a.tar"), image="png", label="label.txt")
    assert {images.read(i): images.label(i) for i in range(2)} == {picture(0): 7, picture(1): 8}
    assert images.size(0) == len(images.read(0))


def test_braces_expand_to_every_combination_and_keep_zeros(tmp_path):
    for name in ("a-08", "a-09", "a-10", "b-08", "b-09", "b-10"):
        (tmp_path / name).touch()
    found = expand_shards(f"{tmp_path}/{{a,b}}-{{08..10}}")
    assert [path.name for path in found] == ["a-08", "a-09", "a-10", "b-08", "b-09", "b-10"]
    assert [path.name for path in expand_shards(f"{tmp_path}/a-*")] == ["a-08", "a-09", "a-10"]
    (tmp_path / "c-9").touch()
    (tmp_path / "c-10").touch()
    assert [path.name for path in expand_shards(f"{tmp_path}/c-{{10..9}}")] == ["c-10", "c-9"]


def test_missing_shards_are_refused(tmp_path):
    (tmp_path / "a-0.tar").touch()
    with pytest.raises(TaskError, match=r"no file at .*a-1\.tar"):
        expand_shards(f"{tmp_path}/a-{{0..1}}.tar")
    with pytest.raises(TaskError, match=r"no file at .*b-\*\.tar"):
        expand_shards(f"{tmp_path}/b-*.tar")


def test_a_pointer_of_git_lfs_in_place_of_a_shard_is_called_one(tmp_path):
    (tmp_path / "a.tar").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(TaskError, match=r"a\.tar is Git LFS's pointer to the images .* git lfs pull"):
        ShardImages(f"{tmp_path}/a.tar", image="jpg", label="cls")


def test_a_sample_without_label_or_image_or_with_another_label_is_named(tmp_path, picture):
    path = tmp_path / "a.tar"
    for files, message in [
        ({"x.jpg": picture(0)}, r"sample x has no \.cls"),
        ({"x.cls": b"0"}, r"sample x has no \.jpg"),
        ({"x.png": picture(0), "x.txt": b"0"}, r"no sample with .jpg and .cls; .*\.png"),
    ]:
        write_shard(path, files)
        with pytest.raises(TaskError, match=message):
            ShardImages(str(path), image="jpg", label="cls")


def test_damaged_shards_are_refused(tmp_path, picture):
    write_shard(tmp_path / "whole.tar.gz", {"x.jpg": picture(0), "x.cls": b"0"}, mode="w:gz")
    whole = (tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[:-20])
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    (tmp_path / "c.tar.gz").write_bytes(whole[:50] + b"xxx" + whole[53:])
    for name in ("a.tar.gz", "b.tar", "c.tar.gz"):
        with pytest.raises(TaskError, match=f"{name}: not a whole tar"):
            ShardImages(str(tmp_path / name), image="jpg", label="cls")


def test_a_sample_may_have_one_of_several_images_and_labels_in_json_or_as_names(tmp_path, picture):
    files = {
        "a.png": picture(0), "a.jpg": picture(1), "a.json": b'{"label": "dog", "cls": 1}',
        "b.png": picture(2), "b.json": b'{"label": "cat", "cls": 0}',
    }  # fmt: skip
    write_shard(tmp_path / "a.tar", files)
    images = ShardImages(str(tmp_path / "a.tar"), image="jpg;png", label="json")
    assert [images.read(0), images.read(1)] == [picture(1), picture(2)]
    assert images.name(1).endswith("b.png")
    assert images.class_names == ("cat", "dog")
    assert [images.label(0), images.label(1)] == [1, 0]
    numbered = ShardImages(str(tmp_path / "a.tar"), image="png", label="json", label_key="cls")
    assert (numbered.class_names, numbered.label(0), numbered.label(1)) == (None, 1, 0)
    with pytest.raises(TaskError, match="expected a JSON object with 'no'"):
        ShardImages(str(tmp_path / "a.tar"), image="png", label="json", label_key="no")


@pytest.mark.parametrize("label", [b"99999999999999999999", b"-1", b"", b"\xff"])
def test_a_label_that_is_no_class_is_refused(tmp_path, picture, label):
    write_shard(tmp_path / "a.tar", {"a.jpg": picture(0), "a.cls": label, "b.jpg": picture(1), "b.cls": b"1"})
    with pytest.raises(TaskError, match="label"):
        ShardImages(str(tmp_path / "a.tar"), image="jpg", label="cls")


def test_an_archive_is_read_to_a_proven_end(tmp_path, picture):
    files = {f"{i}.{kind}": data for i in range(8) for kind, data in (("jpg", picture(i)), ("cls", b"1"))}
    write_shard(tmp_path / "whole.tar", files)
    data = (tmp_path / "whole.tar").read_bytes()
    header = data.index(b"3.jpg\0")
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512  # after the last member
    damaged = {
        "zeros": (data[:header] + bytes(512) + data[header + 512 :], "more data after"),
        "flipped": (data[:header] + b"\xff" + data[header + 1 :], "damaged"),
        "cut off": (data[:header], "cut off"),
        "at its end": (data[:end], "cut off"),
        "appended": (data + data, "more data after"),
    }
    assert len(ShardImages(str(tmp_path / "whole.tar"), image="jpg", label="cls")) == 8
    for content, message in damaged.values():
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(TaskError, match=message):
            ShardImages(str(tmp_path / "a.tar"), image="jpg", label="cls")


@pytest.mark.parametrize("members", [1, 2])
def test_a_shard_in_gzip_is_read_at_random(tmp_path, picture, monkeypatch, members):
    monkeypatch.setattr(gzip_random, "_FIRST_SPACING", 100)
    monkeypatch.setattr(gzip_random, "_CHUNK", 64)
    monkeypatch.setattr(gzip_random, "_MOST_STATES", 5)
    write_shard(tmp_path / "a.tar", {f"{i}.{k}": d for i in range(9) for k, d in (("jpg", picture(i)), ("cls", b"1"))})
    data = (tmp_path / "a.tar").read_bytes()
    halves = [data] if members == 1 else [data[:3000], data[3000:]]
    (tmp_path / "a.tar.gz").write_bytes(b"".join(gzip.compress(half) for half in halves))
    images = ShardImages(str(tmp_path / "a.tar.gz"), image="jpg", label="cls")
    for index in (8, 0, 4, 5, 3, 8):
        assert images.read(index) == picture(index)
