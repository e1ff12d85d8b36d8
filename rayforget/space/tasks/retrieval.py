"""A task of images and their captions, as the space file declares it."""

from collections.abc import Iterable
from typing import Literal

from pydantic import PositiveInt

from rayforget.space.frozen import Problem
from rayforget.space.tasks.data import DatasetSource, ImageTask, Source, WebdatasetSource
from rayforget.space.tasks.image_splits import sources_of


class RetrievalTask(ImageTask):
    """Images and their captions: an image finds its caption among all of the split's, or a caption its image.

    A source's `label` says where the captions are: a column of texts or of lists of texts, or the extension of text
    files with a caption in each line (`label: txt`).
    """

    kind: Literal["retrieval"]
    direction: Literal["image_to_text", "text_to_image"]
    """What is looked for: an image's captions among the split's, or a caption's images. Give a task for each."""
    k: PositiveInt = 1
    """The score is recall@k: the share of images (or captions) with a right one among the k most similar."""
    train: Source | None = None
    """The training pairs, learnt by `recipe.objective: contrastive`; exactly one speciality task has a training set."""

    @property
    def metric_word(self) -> str:
        """The score's name in tables."""
        return f"recall@{self.k}"

    @property
    def metric(self) -> str:
        """The score's rule in records: a mean over items."""
        return f"recall_at_{self.k}"

    def problems(self) -> Iterable[Problem]:
        """Settings that contradict each other, and sources without captions."""
        yield from super().problems()
        for key, source in sources_of(self).items():
            if not isinstance(source, DatasetSource | WebdatasetSource):
                text = (
                    f"found {source.kind}, whose images have no captions; write webdataset (label: txt), or dataset "
                    "with the captions' column as label (a folder with metadata.csv or metadata.jsonl is one)"
                )
                yield Problem(at=(key,) if key != "cut" else (key, "source"), text=text)
