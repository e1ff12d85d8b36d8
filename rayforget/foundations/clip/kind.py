"""open_clip models as a kind of foundation: scored zero-shot on images, trained on those of one task."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.names import is_text_name
from rayforget.foundations.kind import Kind
from rayforget.space.foundation import ItemWords
from rayforget.space.frozen import Problem
from rayforget.space.paths import LOCAL_FOLDER, is_weights_file
from rayforget.space.tasks.any_task import Task
from rayforget.space.tasks.data import ZeroShotTask

if TYPE_CHECKING:  # a space is read and checked without torch
    import torch
    from torch import nn

    from rayforget.foundations.clip.exporter import ClipExporter
    from rayforget.foundations.clip.model import ClipModel
    from rayforget.foundations.clip.prepared import PreparedClip
    from rayforget.foundations.protocol import Foundation, State
    from rayforget.foundations.sharing import Share
    from rayforget.space.parts import Resources
    from rayforget.tasks.opening import Opened

HUB = "hf-hub:"
"""Prefix of a hub model's name."""


class ClipKind(Kind[ClipFoundation, "ClipModel"]):
    """`foundation.kind: clip`."""

    config = ClipFoundation
    tasks = ("zero_shot", "retrieval")
    head = "frozen"
    without_effect: Mapping[str, str] = {}
    words = ItemWords(
        one="image",
        many="images",
        kept="decoded",
        keeping="decode an image",
        unproven="whether the images can be decoded",
    )

    def training_problems(self, tasks: Mapping[str, Task]) -> Iterator[Problem]:
        """Problems if not exactly one task has `train`, or if that has no prompts."""
        trained = [name for name, task in tasks.items() if task.train is not None]
        if len(trained) != 1:
            found = f"{' and '.join(trained)} have" if trained else "none has"
            text = f"{found} `train:`; give it to exactly one speciality task"
            yield Problem(at=("tasks", *trained[1:2]), text=text)
            return
        task = tasks[trained[0]]
        if isinstance(task, ZeroShotTask) and task.templates is None and task.suite is None:
            text = "has neither templates nor a suite that brings them; add `templates:`, e.g. ['a photo of a {}.']"
            yield Problem(at=("tasks", trained[0]), text=text)

    def local_places(self, spec: ClipFoundation) -> Iterator[tuple[str, str]]:
        """The model's folder, or its file of weights."""
        if spec.model.startswith((LOCAL_FOLDER, "/")):
            yield "model", spec.model
        if spec.pretrained is not None and is_weights_file(spec.pretrained):
            yield "pretrained", spec.pretrained

    def named(self, place: str, like: ClipFoundation) -> ClipFoundation:
        """A folder, a file of weights of the other model's architecture, `NAME:TAG`, or a name with its prefix."""
        from rayforget.foundations.clip.named import named_clip

        return named_clip(place, like)

    def head_of(self, changed: Collection[str]) -> str:
        """text if anything of the text tower changes, else frozen."""
        return "text" if any(map(is_text_name, changed)) else "frozen"

    def weights(self, spec: ClipFoundation, base: "State") -> "State":
        """Compares a file of weights before open_clip reads it, which would fit positions of another size.

        A file of one tower, or of what a training changed of this base, has the base's other tensors.
        """
        from rayforget.foundations.clip.state_file import completed_by

        if spec.pretrained is not None and is_weights_file(spec.pretrained):
            whole = completed_by(base, Path(spec.pretrained))
            if whole is not None:
                return whole
        return super().weights(spec, base)

    def outline(self, spec: ClipFoundation) -> "State | None":
        """open_clip's model; of a file of weights, the shapes that are in it."""
        from rayforget.foundations.clip.outline import outline_of

        return None if spec.model.startswith(HUB) else outline_of(spec)

    def unlike(self, spec: ClipFoundation, base: ClipFoundation) -> tuple[str, ...]:
        """Activation, heads and preprocessing that differ."""
        from rayforget.foundations.clip.named import unlike_clip

        return unlike_clip(spec, base)

    def find(self, spec: ClipFoundation) -> None:
        """Checks the folder with its files, or the name and the tag."""
        from rayforget.foundations.clip.source import clip_source

        clip_source(spec)

    def remarks(self, spec: ClipFoundation) -> tuple[str, ...]:
        """The activation and preprocessing of a file of weights, and where they come from."""
        from rayforget.foundations.clip.source import file_facts

        settled = file_facts(spec)
        return () if settled is None else (f"foundation.pretrained: runs with {settled.facts} ({settled.origin})",)

    def pin(self, spec: ClipFoundation) -> ClipFoundation:
        """The settings with the commit of a hub model."""
        from rayforget.foundations.revisions import commit_of

        if not spec.model.startswith(HUB):
            return spec
        name = spec.model.removeprefix(HUB)
        commit = commit_of(name, "open_clip_config.json", revision=spec.revision)
        return spec if commit is None else spec.model_copy(update={"revision": commit})

    def trained_layers(self, spec: ClipFoundation, head: str | None) -> "nn.Module | None":
        """The image tower's layers, or both towers'; with head: trained also the classifier."""
        from rayforget.foundations.clip.shapes import trained_layers

        return None if spec.model.startswith(HUB) else trained_layers(spec, head or self.head)

    def load(self, spec: ClipFoundation, device: "torch.device", share: "Share") -> "ClipModel":
        """Loads open_clip's model."""
        from rayforget.foundations.clip.model import load_clip

        return load_clip(spec, device, share)

    def with_tasks(
        self, model: "ClipModel", spec: ClipFoundation, tasks: "Opened", *, cache: Path, resources: "Resources"
    ) -> "PreparedClip":
        """Sets up the model with its tasks of images."""
        from rayforget.foundations.clip.prepared import PreparedClip
        from rayforget.foundations.clip.resident import Resident
        from rayforget.tasks.resolved import ResolvedTask

        images = {name: task for name, task in tasks.items() if isinstance(task, ResolvedTask)}
        resident = Resident.on(model.device, share=min(1.0, resources.gpus_per_worker or 1.0))
        return PreparedClip(model, images, cache=cache, evaluation_batch=resources.evaluation_batch, resident=resident)

    def exporter(self, foundation: "Foundation", spec: ClipFoundation) -> "ClipExporter":
        """Writes open_clip's folders."""
        from rayforget.foundations.clip.exporter import ClipExporter
        from rayforget.foundations.clip.prepared import PreparedClip

        assert isinstance(foundation, PreparedClip)
        return ClipExporter(foundation, spec)
