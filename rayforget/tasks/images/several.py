"""Images with any number of classes -> the same, labelled by the task's classes: a label is a list of names."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.images.captions import Captions
from rayforget.tasks.images.labelled import LabelledImages, plain_name
from rayforget.tasks.images.sources import ImageSource


def names_in(source: ImageSource) -> tuple[str, ...]:
    """All classes that occur in a source whose labels hold a name in each line; sorted."""
    return tuple(sorted({line for names in source.class_names or () for line in names.split("\n") if line}))


def label_by_names(source: ImageSource, known: Mapping[str, int], classes: Sequence[str]) -> LabelledImages:
    """The source with the task's own names in its labels.

    Args:
        source: its `class_names` hold the names of an image's classes, one in each line; or their indices.
        known: name in the data -> class.
        classes: the task's class names.

    Raises:
        TaskError: a name that is no class.
    """
    places = {str(index): index for index in range(len(classes))} | {plain_name(n): i for n, i in known.items()}
    named = []
    for names in source.class_names or ():
        lines = [line for line in names.split("\n") if line]
        if unknown := [line for line in lines if plain_name(line) not in places]:
            raise TaskError(
                f"label without a class name: {unknown[0]!r}; expected names such as {', '.join(sorted(known)[:3])}; "
                "add it to the classes, or take it out of the data"
            )
        named.append("\n".join(classes[place] for place in sorted({places[plain_name(line)] for line in lines})))
    images = LabelledImages(source)
    images.class_names = tuple(named)
    return images


def right_classes(captions: Captions, classes: Sequence[str], num_images: int) -> NDArray[np.bool_]:
    """Which classes each image has: shape (num_images, num_classes)."""
    place = {name: index for index, name in enumerate(classes)}
    of_text = np.array([place.get(text, -1) for text in captions.texts], dtype=np.int64)
    right = np.zeros((num_images, len(classes) + 1), dtype=bool)
    right[captions.images, of_text[captions.owned]] = True  # the last column takes images without a class
    return right[:, :-1]
