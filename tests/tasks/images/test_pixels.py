import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rayforget.errors import TaskError
from rayforget.heartbeat import heard_by
from rayforget.space.tasks.data import FolderSource
from rayforget.tasks.images.contents import changed_hashes, items_hash
from rayforget.tasks.images.folder import FolderImages
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.opening import open_source
from rayforget.tasks.images.pixels import pixel_set


@dataclass
class Squeeze:
    """Resizes to 4 x 5 pixels and counts its calls."""

    key: str = "squeeze 1"
    shape: tuple[int, int, int] = (3, 4, 5)
    decoded: list[int] = field(default_factory=list)

    def __call__(self, image: Image.Image) -> np.ndarray:
        self.decoded.append(1)
        height, width = self.shape[1:]
        return np.asarray(image.convert("RGB").resize((width, height))).transpose(2, 0, 1)


@dataclass
class Pair:
    """A folder, its source, and a call with few arguments."""

    root: Path
    cache: Path

    def decode(self, decoder: Squeeze, indices=None, max_broken: int = 0, classes=None):
        images = LabelledImages(open_source(FolderSource(kind="folder", path=self.root)), classes=classes)
        wanted = range(len(images)) if indices is None else indices
        return pixel_set(images, wanted, decoder, self.cache, max_broken=max_broken, what="tasks.t.val")


@pytest.fixture
def pair(image_folder: Callable[..., Path], tmp_path: Path) -> Pair:
    return Pair(image_folder("set", {"a": [1, 2, 3], "b": [4, 5]}), tmp_path / "cache")


def test_pixels_equal_the_decoder_applied_to_each_image_in_order(pair):
    order = [4, 0, 2]
    result = pair.decode(Squeeze(), order)
    source = FolderImages(pair.root)
    expected = [Squeeze()(Image.open(source.name(index))) for index in order]
    assert (result.pixels == np.stack(expected)).all()
    assert result.labels.tolist() == [1, 0, 0]
    assert result.labels.dtype == np.int64
    assert result.broken == ()
    assert isinstance(result.pixels, np.memmap)
    assert not result.pixels.flags.writeable


def test_a_second_call_decodes_nothing(pair):
    first, second = Squeeze(), Squeeze()
    one, other = pair.decode(first), pair.decode(second)
    assert (len(first.decoded), len(second.decoded)) == (5, 0)
    assert (one.pixels == other.pixels).all()
    assert one.items_hash == other.items_hash


def test_a_moved_and_renamed_set_is_found_again(pair):
    hashed = pair.decode(Squeeze()).items_hash
    moved = pair.root.rename(pair.root.parent / "elsewhere")
    for file in list(moved.glob("*/*")):
        file.rename(file.with_name("z" + file.name))
    decoder = Squeeze()
    assert Pair(moved, pair.cache).decode(decoder).items_hash == hashed
    assert not decoder.decoded


def test_another_content_label_order_or_decoder_is_another_set(pair, picture):
    hashes = [pair.decode(Squeeze()).items_hash]
    variants = [
        (Squeeze(), {"classes": [1, 0]}),
        (Squeeze(), {"indices": [1, 0, 2, 3, 4]}),
        (Squeeze(), {"indices": [0, 1, 2, 3]}),
        (Squeeze(key="squeeze 2"), {}),
        (Squeeze(shape=(3, 5, 4)), {}),
    ]
    for decoder, arguments in variants:
        hashes.append(pair.decode(decoder, **arguments).items_hash)
        assert decoder.decoded
    (pair.root / "a" / "000001.png").write_bytes(picture(99))
    changed = Squeeze()
    hashes.append(pair.decode(changed).items_hash)
    assert len(changed.decoded) == 5
    assert len(set(hashes)) == len(hashes) - 2  # the decoders' two sets hold the same items
    assert len([path for path in pair.cache.iterdir() if path.name != "locks"]) == 7


def test_the_border_crop_comes_before_the_decoder_and_names_another_set(pair):
    whole = pair.decode(Squeeze(shape=(3, 5, 8)))
    images = LabelledImages(FolderImages(pair.root), border=2)
    cropped = pixel_set(images, range(5), Squeeze(shape=(3, 5, 8)), pair.cache, max_broken=0, what="t")
    file = Image.open(images.name(0))  # 12 x 9: as large as the decoder's output once the border is off
    assert (cropped.pixels[0] == np.asarray(file).transpose(2, 0, 1)[:, 2:-2, 2:-2]).all()
    assert not (cropped.pixels == whole.pixels).all()


@pytest.mark.parametrize("damage", [b"", b"no image at all", None])
def test_broken_images_are_named_skipped_and_counted(pair, picture, damage):
    broken = pair.root / "a" / "000002.png"
    broken.write_bytes(picture(2)[:-200] if damage is None else damage)
    with pytest.raises(TaskError, match=r"tasks.t.val: 1 or more broken images of 5, allowed 0.*000002.png \("):
        pair.decode(Squeeze())
    for decoder in (Squeeze(), Squeeze()):
        result = pair.decode(decoder, max_broken=1)
        assert result.broken == (str(broken),)
        assert result.labels.tolist() == [0, 0, 1, 1]
        assert result.pixels.shape == (4, 3, 4, 5)
    assert not decoder.decoded
    with pytest.raises(TaskError, match=r"000002\.png"):
        pair.decode(Squeeze(), max_broken=0)
    broken.unlink()
    assert pair.decode(Squeeze()).items_hash == result.items_hash


def test_ten_items_less_one_keep_their_places(image_folder, tmp_path):
    pair = Pair(image_folder("ten", {"a": 10}), tmp_path / "cache")
    sound = np.array(pair.decode(Squeeze()).pixels)
    for count, file in enumerate(sorted(pair.root.glob("*/*"))[3:5], start=1):
        file.write_bytes(b"broken")
        kept = pair.decode(Squeeze(), max_broken=2).pixels
        assert (kept == np.delete(sound, range(3, 3 + count), axis=0)).all()


def test_a_set_with_nothing_whole_is_refused_at_any_limit(image_folder, tmp_path):
    root = image_folder("set", {"a": 1})
    next(root.glob("*/*")).write_bytes(b"broken")
    with pytest.raises(TaskError, match="1 or more broken images of 1"):
        Pair(root, tmp_path / "cache").decode(Squeeze(), max_broken=5)
    with pytest.raises(TaskError, match="no items"):
        Pair(root, tmp_path / "cache").decode(Squeeze(), [])


def test_many_broken_images_stop_the_decoding_early(image_folder, tmp_path):
    root = image_folder("set", {"a": 200})
    for file in sorted(root.glob("*/*"))[:150]:
        file.write_bytes(b"broken")
    decoder = Squeeze()
    with pytest.raises(TaskError, match=r"3 or more broken .*(\.png.*){3}"):
        Pair(root, tmp_path / "cache").decode(decoder, max_broken=2)
    assert len(decoder.decoded) < 50
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["locks"]


def test_a_decoders_own_mistake_is_no_broken_image(pair):
    with pytest.raises(TaskError, match=r"decoder gave .* expected \(3, 9, 9\)"):
        pair.decode(Misshapen(), max_broken=5)


class Misshapen(Squeeze):
    def __call__(self, image: Image.Image) -> np.ndarray:
        self.shape = (3, 9, 9)
        return np.zeros((3, 4, 5), np.uint8)


def test_several_at_once_decode_once_and_agree(pair):
    decoder, results = Squeeze(), []
    threads = [threading.Thread(target=lambda: results.append(pair.decode(decoder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoder.decoded) == 5
    assert len({result.items_hash for result in results}) == 1


def test_a_cut_off_cache_is_made_again_and_leftovers_go(pair):
    pixels = np.array(pair.decode(Squeeze()).pixels)
    file = next(pair.cache.glob("*/pixels.npy"))
    file.write_bytes(file.read_bytes()[:-1])
    leftover = file.parent.with_name(file.parent.name + ".killed")
    shutil.copytree(file.parent, leftover)
    decoder = Squeeze()
    assert (pair.decode(decoder).pixels == pixels).all()
    assert len(decoder.decoded) == 5
    assert not leftover.exists()


def test_a_damaged_cache_is_decoded_again_with_a_warning(pair, caplog):
    pixels = np.array(pair.decode(Squeeze()).pixels)
    file = next(pair.cache.glob("*/pixels.npy"))
    data = file.read_bytes()
    file.write_bytes(data[:-100] + bytes(100))
    decoder = Squeeze()
    assert (pair.decode(decoder).pixels == pixels).all()
    assert len(decoder.decoded) == 5
    assert "block 1 of 1 has other bytes" in caplog.text


def test_scores_on_items_are_told_apart_where_the_mode_decides_the_pixels_and_only_there(pair, picture):
    root = pair.root
    plain = items_hash(LabelledImages(FolderImages(root)).content_hashes(np.arange(5)), np.array([0, 0, 0, 1, 1]))
    assert pair.decode(Squeeze()).items_hash == plain
    (root / "b" / "000005.png").write_bytes(picture(5, mode="P"))
    (root / "b" / "000004.png").write_bytes(picture(4, mode="L"))
    hashes = LabelledImages(FolderImages(root)).content_hashes(np.arange(5))
    expected = items_hash(changed_hashes(hashes, [4]), np.array([0, 0, 0, 1, 1]))
    assert pair.decode(Squeeze()).items_hash == expected


def test_no_room_is_said_before_anything_is_written(pair):
    with pytest.raises(TaskError, match=r"no room for decoded images: .* set resources.cache"):
        pair.decode(Squeeze(shape=(3, 10**6, 10**6)))


def test_hashing_and_decoding_beat_with_every_image(pair):
    heard = []
    with heard_by(lambda *said: heard.append(said)):
        pair.decode(Squeeze())
    assert heard == [(stage, done, 5) for stage in ("hash images", "decode tasks.t.val") for done in range(1, 6)]
