"""Where items come from and what is scored on them: sources, splits and tasks, as the space file declares them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from rayforget.space.frozen import Frozen

Role = Literal["speciality", "generality"]
SuiteName = Literal["imagenet", "imagenet_v2", "imagenet_r", "imagenet_a", "imagenet_sketch", "objectnet"]


class FolderSource(Frozen):
    """Images in one sub-folder per class."""

    kind: Literal["folder"]
    path: Path
    """The folder that holds the classes' folders."""
    max_broken: NonNegativeInt = 0
    """How many unreadable images are skipped (and named) before it is an error."""


class WebdatasetSource(Frozen):
    """Tar shards in webdataset's layout: KEY.jpg beside KEY.cls."""

    kind: Literal["webdataset"]
    shards: str
    """Path of the shards; braces and globs are expanded (`/data/val-{000..012}.tar`)."""
    image: str = "jpg"
    """Extension of the image files."""
    label: str = "cls"
    """Extension of the label files: the class index as text."""
    max_broken: NonNegativeInt = 0
    """How many unreadable images are skipped (and named) before it is an error."""


class DatasetSource(Frozen):
    """A Hugging Face data set: a local folder (Parquet, Arrow, `save_to_disk`) or a hub name."""

    kind: Literal["dataset"]
    path: str
    """Local folder, or name on the hub."""
    config: str | None = None
    """The data set's configuration, where it has several."""
    split: str
    """The data set's own name of the split to read."""
    image: str = "image"
    """Column of the images."""
    label: str = "label"
    """Column of the class indices."""
    revision: str | None = None
    """Commit of a hub data set; null takes the newest, and the record names what was taken."""
    max_broken: NonNegativeInt = 0
    """How many unreadable images are skipped (and named) before it is an error."""


class WorldSource(Frozen):
    """Images drawn by the built-in procedural world."""

    kind: Literal["world"]
    style: str
    """One of the world's styles, or `all`."""
    naming: Literal["shape", "color", "count"] = "shape"
    """What the label says of a picture."""
    split: Literal["train", "val", "test"]
    """Pictures of different splits are drawn from different random streams."""
    count: PositiveInt
    """How many pictures."""
    seed: NonNegativeInt = 0


Source = Annotated[FolderSource | WebdatasetSource | DatasetSource | WorldSource, Field(discriminator="kind")]


class Cut(Frozen):
    """One labelled set cut in two by a seeded hash of each item's content."""

    source: Source
    seed: NonNegativeInt = 0
    """Seed of the hash; another seed is another cut."""
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the items that go to `val`; the others are `test`."""


class ZeroShotTask(Frozen):
    """Image classification against the text features of class names in prompt templates."""

    kind: Literal["zero_shot"]
    role: Role
    """speciality: to be learnt; generality: not to be lost."""
    group: str
    """Generality is the mean over groups of the mean over a group's tasks, e.g. `distribution` and `task`."""
    suite: SuiteName | None = None
    """A well-known set: brings its class names, templates and the map from its folders to classes."""
    classes: tuple[str, ...] | None = None
    """Class names in the order of the labels; null takes the folders' names, sorted, with _ read as a space."""
    templates: tuple[str, ...] | None = None
    """Prompts with {} for the class name; null takes the suite's, else the speciality's."""
    train: Source | None = None
    """What is trained on; exactly one speciality task has it."""
    val: Source | None = None
    """What search, schedulers, frontier and pick see."""
    test: Source | None = None
    """What the report alone sees."""
    cut: Cut | None = None
    """Instead of `val` and `test`, for sets with one labelled split."""


Task = ZeroShotTask
