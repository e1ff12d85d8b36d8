"""A suite and the data labelled with it -> the suite with only the classes that occur, and the data labelled anew."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.suite import Suite


def present(sources: Iterable[LabelledImages]) -> NDArray[np.int64]:
    """The labels of all sources together, each once, ascending."""
    return np.unique(np.concatenate([images.labels[images.labels >= 0] for images in sources]))


def only_present(suite: Suite, sources: list[LabelledImages]) -> Suite:
    """The suite's classes that occur in any of the sources, in its order; changes the sources' labels to match.

    Args:
        suite: one without groups of classes.
        sources: all splits of one task, labelled with the suite.
    """
    kept = present(sources)
    places = np.full(suite.num_classes + 1, -1, dtype=np.int64)  # the last one is that of label -1
    places[kept] = np.arange(len(kept))
    for images in sources:
        images.labels = places[images.labels]
    return replace(
        suite,
        class_ids=tuple(suite.class_ids[index] for index in kept),
        class_names=tuple(suite.class_names[index] for index in kept),
        folders={folder: int(places[label]) for folder, label in suite.folders.items() if places[label] >= 0},
    )
