"""A task's declared sources, read one by one -> its splits, among them both halves of a cut."""

from collections.abc import Callable
from dataclasses import replace

from rayforget.space.tasks.data import Cut, ImageTask, Source, ZeroShotTask
from rayforget.space.tasks.image_splits import Declared, sources_of
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.limit import limited
from rayforget.tasks.images.opening import broken_limit, limit_of, reading_of
from rayforget.tasks.keys import at_key
from rayforget.tasks.resolved import HALVES, Half, SplitItems, SplitName


def splits_of(
    name: str, task: ImageTask, labelled: Callable[[Declared, Source], LabelledImages], hashes: HashStore | None
) -> dict[SplitName, SplitItems]:
    """The splits of a task on images.

    Args:
        name: the task's name.
        task: the task as declared.
        labelled: the key of a source and the source -> its images with their labels.
        hashes: items that this node has hashed before are not read again for their hashes; None reads all.

    Raises:
        TaskError: whatever `labelled` raises, with the key in the space file before it, e.g. `tasks.photo.val: ...`.
    """
    splits: dict[SplitName, SplitItems] = {}
    for key, source in sources_of(task).items():
        place = f"tasks.{name}.{key}"
        with at_key(place):
            images = labelled(key, source)
            images.reading = reading_of(source)
            if (limit := limit_of(source)) is not None:
                by_class = isinstance(task, ZeroShotTask) and not task.has_several_labels
                images.labels = limited(images.labels, limit, by_class=by_class)
            if hashes is not None:
                images.remember_in(hashes)
            whole = SplitItems(key=place, source=images, max_broken=broken_limit(source))
            splits |= {key: whole} if key != "cut" else _halves(whole, task.cut)
    return splits


def _halves(whole: SplitItems, cut: Cut | None) -> dict[SplitName, SplitItems]:
    """Both sides of a cut."""
    assert cut is not None
    sides = {side: Half(side=side, seed=cut.seed, val_share=cut.val_share) for side in HALVES}
    return {side: replace(whole, half=half) for side, half in sides.items()}
