"""Declared tasks -> resolved ones: sources opened, labels mapped to classes, prompts settled; nothing decoded.

This is cheap: it lists files and reads labels but no image. What reads images (the halves of a cut, `check_overlaps`)
runs on demand.
"""

from collections.abc import Mapping
from operator import attrgetter

from rayforget.errors import TaskError
from rayforget.metrics.registry import METRICS
from rayforget.space.tasks.data import FolderSource, Source, ZeroShotTask
from rayforget.space.tasks.image_splits import Declared, sources_of
from rayforget.tasks.images.candidates import only_present
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.labelled import LabelledImages, label_by_name, meant_deeper, plain_name
from rayforget.tasks.images.opening import open_source
from rayforget.tasks.images.several import label_by_names, names_in
from rayforget.tasks.images.sources import HasDepth, ImageSource, NamesLabels
from rayforget.tasks.images.suite import Suite
from rayforget.tasks.images.suites import load_suite
from rayforget.tasks.keys import at_key
from rayforget.tasks.overlaps import check_overlaps, drop_overlaps
from rayforget.tasks.resolved import Half, ResolvedTask, SplitItems
from rayforget.tasks.splits import splits_of

__all__ = ["Half", "ResolvedTask", "SplitItems", "check_overlaps", "resolve_tasks"]


def resolve_tasks(tasks: Mapping[str, ZeroShotTask], *, hashes: HashStore | None = None) -> dict[str, ResolvedTask]:
    """Opens every task's data and settles its classes and prompts.

    With `hashes`, items that this node has hashed before are not read again for their hashes.

    Classes: the task's own, else the suite's, else the names in its first source (train, val, test), with _ read as a
    space. Prompts: the task's own, else the suite's, else the trained speciality's (if
    none is trained: those of the first speciality that has some).

    Raises:
        TaskError: the message starts with the key in the space file, e.g. `tasks.photo.val: ...`.
    """
    suites = {name: _suite(name, task) for name, task in tasks.items()}
    templates = {name: task.templates or _templates(suites[name]) for name, task in tasks.items()}
    lenders = [name for name, task in tasks.items() if task.train is not None] or [
        name for name, task in tasks.items() if task.role == "speciality" and templates[name] is not None
    ]
    lent = templates[lenders[0]] if lenders else None
    return {name: _resolve(name, task, suites[name], templates[name] or lent, hashes) for name, task in tasks.items()}


def _suite(name: str, task: ZeroShotTask) -> Suite | None:
    with at_key(f"tasks.{name}.suite"):
        return load_suite(task.suite, next(iter(sources_of(task).values()))) if task.suite else None


def _templates(suite: Suite | None) -> tuple[str, ...] | None:
    return suite.templates if suite else None


def _resolve(
    name: str,
    task: ZeroShotTask,
    suite: Suite | None,
    templates: tuple[str, ...] | None,
    hashes: HashStore | None,
) -> ResolvedTask:
    if templates is None:
        raise TaskError(
            f"tasks.{name}: no templates, and neither a suite nor the trained speciality brings any; add some"
        )
    several = task.has_several_labels
    opened: dict[Declared, ImageSource] = {}
    for key, source in sources_of(task).items():
        with at_key(f"tasks.{name}.{key}"):
            opened[key] = open_source(source, suite=task.suite, several="classes" if several else None, key=key)
    if suite and task.candidates == "present":
        suite = only_present(suite, [images for images in opened.values() if isinstance(images, LabelledImages)])
    with at_key(f"tasks.{name}.classes"):
        names = suite.class_names if suite else _class_names(task, list(opened.values()))
    known = {class_name: index for index, class_name in enumerate(names)}
    if task.names is not None:
        known = {folder: known[plain_name(name)] for folder, name in task.names.items()}

    def labelled(key: Declared, source: Source) -> LabelledImages:
        images = opened[key]
        if several:
            return label_by_names(images, known, names)
        if isinstance(images, LabelledImages):
            return images
        strict = isinstance(source, FolderSource) or (isinstance(images, NamesLabels) and images.labels_are_names)
        return label_by_name(images, known, num_classes=len(names), strict=strict)

    resolved = ResolvedTask(
        name=name,
        role=task.role,
        group=task.group,
        class_ids=suite.class_ids if suite else names,
        class_names=names,
        templates=templates,
        splits=splits_of(name, task, labelled, hashes),
        class_groups=suite.class_groups if suite else None,
        metric=task.metric,
        several_labels=several,
    )
    least = 1 if task.metric == "accuracy" else METRICS.find(task.metric).value.min_classes
    if resolved.num_classes < least:
        raise TaskError(
            f"tasks.{name}.metric: found {task.metric} with {resolved.num_classes} classes, where it is always 100 %; "
            f"expected {least} classes at least: write accuracy"
        )
    return drop_overlaps(resolved) if task.overlap == "drop" else resolved


def _class_names(task: ZeroShotTask, opened: list[ImageSource]) -> tuple[str, ...]:
    """The task's own names, else those of the first source that has any."""
    names = task.classes
    if task.names is not None:  # in the folders' order, which stays the same however the map is written
        names = tuple(task.names[folder] for folder in sorted(task.names))
    if names is None:
        of_source = names_in if task.has_several_labels else attrgetter("class_names")
        names = next((found for found in map(of_source, opened) if found), None)
    if names is None:
        raise TaskError("the data has only class indices; give the class names in their order")
    if task.classes is None:
        names = tuple(plain_name(name) for name in names)
    if len(names) < 2:
        deeper = next((images.deeper for images in opened if isinstance(images, HasDepth)), None)
        raise TaskError(
            f"found one class, {names[0]!r}, whose score is always 100 %; expected two at least: "
            f"{meant_deeper(deeper)}one sub-folder for each class, or `classes:` with all their names"
        )
    spaced = [plain_name(name) for name in names]
    repeated = sorted({name for name in spaced if spaced.count(name) > 1})
    if repeated:
        raise TaskError(
            f"{repeated[0]!r} occurs {spaced.count(repeated[0])} times (_ and space are the same); rename one"
        )
    return names
