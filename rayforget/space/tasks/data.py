"""Where items come from and how they are scored: sources, splits and tasks, as the space file declares them."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from rayforget.errors import ExtensionError
from rayforget.metrics.registry import METRICS
from rayforget.space.frozen import Frozen, Later, Name, Problem
from rayforget.space.paths import DataPlace, FolderOrHubName
from rayforget.space.tasks.image_splits import role_problems, sources_of, split_problems

Role = Literal["speciality", "generality"]
SuiteName = Literal["imagenet", "imagenet_v2", "imagenet_r", "imagenet_a", "imagenet_sketch", "objectnet"]


Megapixels = Annotated[float, Field(gt=0, le=178)]
"""Pillow itself decodes no larger images."""


class _Limited(Later):
    """The number of images that every source of stored ones may be limited to."""

    later: ClassVar[tuple[str, ...]] = ("limit",)

    limit: PositiveInt | None = None
    """For a quick look, takes at most this many images, spread evenly over the classes, and those of a class over its
    images in their order; null takes all. Another number is another data set."""


class FolderSource(_Limited):
    """Images in one sub-folder per class."""

    kind: Literal["folder"]
    path: DataPlace
    """The folder that holds the classes' folders: relative to where the command is started, or at a URI."""
    max_broken: NonNegativeInt = 0
    """How many unreadable images are skipped (and named); more are an error."""
    max_megapixels: Megapixels = 90
    """Larger images are not decoded but count as broken; the header says how large one is."""
    exif: Literal["apply", "ignore"] = "ignore"
    """Whether images are turned as their EXIF orientation says; `ignore` takes them as they are stored."""


class WebdatasetSource(_Limited):
    """Tar shards in webdataset's layout: KEY.jpg beside KEY.cls."""

    kind: Literal["webdataset"]
    shards: DataPlace
    """Path or URI of the shards; braces and globs are expanded (`/data/val-{000..012}.tar`)."""
    image: str = "jpg"
    """Extension of the image files; several with semicolons (`jpg;png;webp`), of which a sample's first counts."""
    label: str = "cls"
    """Extension of the label files: the class index or name as text, or `json` for an object that holds it."""
    label_key: str = "label"
    """With label: json (or another ending in it), where the object has the class."""
    max_broken: NonNegativeInt = 0
    """How many unreadable images are skipped (and named); more are an error."""
    max_megapixels: Megapixels = 90
    """Larger images are not decoded but count as broken; the header says how large one is."""
    exif: Literal["apply", "ignore"] = "ignore"
    """Whether images are turned as their EXIF orientation says; `ignore` takes them as they are stored."""


class DatasetSource(_Limited):
    """A Hugging Face data set: a local folder (Parquet, Arrow, `save_to_disk`) or a hub name.

    Its images are turned as their EXIF orientation says, as the library turns them.
    """

    kind: Literal["dataset"]
    path: FolderOrHubName
    """Folder, at a URI too, or name on the hub."""
    config: str | None = None
    """The data set's configuration, if it has several."""
    split: str
    """The data set's own name of the split to read."""
    image: str = "image"
    """Column of the images."""
    label: str = "label"
    """Column of the classes: indices, or names as text."""
    revision: str | None = None
    """Commit of a hub data set; null takes the newest, and the record names the commit used."""
    max_broken: NonNegativeInt = 0
    """How many unreadable images are skipped (and named); more are an error."""
    max_megapixels: Megapixels = 90
    """Larger images are not decoded but count as broken; the header says how large one is."""


class WorldSource(Frozen):
    """Images drawn by the built-in procedural world."""

    kind: Literal["world"]
    style: str
    """One of the world's styles, or `all`."""
    naming: Literal["shape", "color", "count"] = "shape"
    """What a picture's label states."""
    split: Literal["train", "val", "test"]
    """Pictures of different splits are drawn from different random streams."""
    count: Annotated[int, Field(gt=0, le=10_000_000)]
    """Number of pictures."""
    seed: NonNegativeInt = 0
    """Seed of the drawing; another seed draws other pictures of the same kind."""


Source = Annotated[FolderSource | WebdatasetSource | DatasetSource | WorldSource, Field(discriminator="kind")]


class Cut(Frozen):
    """One labelled set cut in two by a seeded hash of each item's content."""

    source: Source
    """The set to cut."""
    seed: NonNegativeInt = 0
    """Seed of the hash; another seed gives another cut."""
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the items that go to `val`; the others are `test`."""


class ImageTask(Frozen):
    """What every task on images declares: its role, and its splits."""

    kind: str
    role: Role
    """speciality: to be learnt; generality: not to be lost."""
    group: Name | None = None
    """For generality, which is the mean over groups of the mean over a group's tasks, e.g. `distribution` or `task`."""
    overlap: Literal["refuse", "drop"] = "refuse"
    """What happens if the same image (byte for byte) is in two splits: an error, or the copy that is not in `test` (or
    else not in `val` or `cut`) is left out, and counted by `check`."""
    train: Source | None = None
    """The training set; exactly one speciality task has it."""
    val: Source | None = None
    """Seen by search, schedulers, frontier and pick."""
    test: Source | None = None
    """Seen only by the report."""
    cut: Cut | None = None
    """In place of `val` and `test`, for sets with one labelled split."""

    @property
    def is_scored(self) -> bool:
        """Always: image tasks are never only trained on."""
        return True

    def problems(self) -> Iterable[Problem]:
        """Groups that do not fit the role, and splits that are missing or made twice."""
        yield from role_problems(self)
        yield from split_problems(self)


class ZeroShotTask(ImageTask):
    """Image classification against the text features of class names in prompt templates."""

    kind: Literal["zero_shot"]
    suite: SuiteName | None = None
    """A well-known set, which brings its class names, templates and the map from its folders to classes."""
    classes: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Class names in the order of the labels; null takes the folders' names, sorted, with _ read as a space."""
    names: Annotated[dict[str, str], Field(min_length=2)] | None = None
    """In place of `classes`: the class name for each folder (or name in the data), e.g. `{n02084071: dog}`."""
    candidates: Literal["all", "present"] = "all"
    """With a suite: whether an image is scored among all of its classes, or among those that occur in the task's data,
    e.g. in a subset of ImageNet of your own."""
    templates: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Prompts with {} for the class name; null takes the suite's, else the speciality's."""
    metric: Annotated[Name, Field(examples=["accuracy", "balanced_accuracy", "top5"])] = "accuracy"
    """How the answers are scored: accuracy, balanced_accuracy (mean of the classes' recalls, for classes of unequal
    sizes), top5 (the right class is among the five likeliest), mean_average_precision (images with any number of
    classes: `label` is a column of lists, or of files with a name in each line), or a metric of an installed
    package."""

    @property
    def metric_word(self) -> str:
        """The score's name in tables."""
        return self.metric if self.metric == "accuracy" else METRICS.find(self.metric).value.word

    @property
    def has_several_labels(self) -> bool:
        """Whether its images have any number of classes."""
        return self.metric != "accuracy" and METRICS.find(self.metric).value.several_labels

    def problems(self) -> Iterable[Problem]:
        """Settings that contradict each other or have no effect."""
        yield from self._metric_problems()
        yield from role_problems(self)
        yield from self._naming_problems()
        yield from split_problems(self)

    def _metric_problems(self) -> Iterable[Problem]:
        if self.metric == "accuracy":  # known without an import
            return
        try:
            found = METRICS.find(self.metric)
        except ExtensionError as error:
            yield Problem(at=("metric",), text=str(error))
            return
        if not found.value.of_images:
            text = f"found {self.metric}, a metric of texts; write accuracy, balanced_accuracy or another one of images"
            yield Problem(at=("metric",), text=text)
        if found.value.several_labels:
            yield from self._several_problems()

    def _several_problems(self) -> Iterable[Problem]:
        if self.train is not None:
            text = (
                f"found with metric: {self.metric}; images with several classes are scored, not trained on: remove it"
            )
            yield Problem(at=("train",), text=text)
        if self.suite is not None:
            text = f"found {self.suite} with metric: {self.metric}; its images have one class each: remove one of them"
            yield Problem(at=("suite",), text=text)
        for key, source in sources_of(self).items():
            if not isinstance(source, DatasetSource | WebdatasetSource):
                text = f"found {source.kind}, whose images have one class each; write dataset or webdataset"
                yield Problem(at=(key,) if key != "cut" else (key, "source"), text=text)

    def _naming_problems(self) -> Iterable[Problem]:
        if self.candidates == "present" and self.suite in (None, "objectnet"):
            text = "found present without a suite of single classes (objectnet has groups of them): remove it"
            yield Problem(at=("candidates",), text=text)
        if self.suite is not None and self.classes is not None:
            text = f"found beside suite: {self.suite}, which brings its own class names: remove one of them"
            yield Problem(at=("classes",), text=text)
        if self.names is not None and (self.suite or self.classes) is not None:
            text = f"found beside {'classes' if self.suite is None else 'suite'}, which names the classes: remove one"
            yield Problem(at=("names",), text=text)
        for index, name in enumerate(self.classes or ()):
            if name in (self.classes or ())[:index]:
                yield Problem(at=("classes", index), text=f"found {name!r} twice; give each class a name of its own")
        seen: set[str] = set()
        for folder, name in (self.names or {}).items():
            if name in seen:
                yield Problem(at=("names", folder), text=f"found {name!r} twice; give each class a name of its own")
            seen.add(name)
        for index, template in enumerate(self.templates or ()):
            if template.count("{}") != 1:
                text = f"found {template!r}; a template holds {{}} once, where the class name goes"
                yield Problem(at=("templates", index), text=text)
