"""Causal language models as a kind of foundation: trained on texts, scored on tasks of texts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rayforget.errors import FoundationError
from rayforget.extensions.extras import need
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.kind import Kind
from rayforget.space.foundation import ItemWords
from rayforget.space.frozen import Problem
from rayforget.space.paths import LOCAL_FOLDER
from rayforget.space.tasks.any_task import Task

if TYPE_CHECKING:  # a space is read and checked without torch
    import torch
    from torch import nn

    from rayforget.foundations.causal_lm.exporter import CausalExporter
    from rayforget.foundations.causal_lm.model import CausalLm
    from rayforget.foundations.causal_lm.prepared import PreparedCausalLm
    from rayforget.foundations.protocol import Foundation
    from rayforget.foundations.sharing import Share
    from rayforget.space.parts import Resources
    from rayforget.tasks.opening import Opened


class CausalLmKind(Kind[CausalLmFoundation, "CausalLm"]):
    """`foundation.kind: causal_lm`."""

    config = CausalLmFoundation
    tasks = ("multiple_choice", "instruction", "chat", "text", "lm_eval")
    head = None
    without_effect: Mapping[str, str] = {
        "head": "a language model's own head is trained with it",
        "objective": "it is a loss over images and texts",
        "augmentation": "it changes images",
    }
    words = ItemWords(one="text", many="texts", kept="tokenised", keeping="tokenise a text")

    def training_problems(self, tasks: Mapping[str, Task]) -> Iterator[Problem]:
        """A problem if no task has `train`."""
        if all(task.train is None for task in tasks.values()):
            yield Problem(at=("tasks",), text="none has `train:`; give it to at least one speciality task")

    def local_places(self, spec: CausalLmFoundation) -> Iterator[tuple[str, str]]:
        """The model's folder."""
        if spec.model.startswith((LOCAL_FOLDER, "/")):
            yield "model", spec.model
        if spec.adapter is not None and spec.adapter.startswith("/"):
            yield "adapter", spec.adapter

    def named(self, place: str, like: CausalLmFoundation) -> CausalLmFoundation:
        """A folder of a model or of a peft adapter with its base, a name on the hub, or `builtin`."""
        common = {"kind": like.kind, "trust_remote_code": like.trust_remote_code, "sequences": like.sequences}
        return CausalLmFoundation(**common, model=place)

    def tuned(self, place: str, base: CausalLmFoundation) -> CausalLmFoundation:
        """As `named`; an adapter is merged into this very base, whatever base it names."""
        from rayforget.foundations.causal_lm.source import is_adapter

        folder = Path(place).expanduser()
        if is_adapter(folder):
            if base.adapter is not None:
                raise FoundationError(
                    f"{place} is an adapter, and so is what the base is tuned by ({base.adapter}): adapters are not "
                    "merged on one another; export the base as a folder of its own first, and give that as the base"
                )
            return CausalLmFoundation.model_validate({**base.model_dump(), "adapter": str(folder.absolute())})
        return self.named(place, base)

    def unlike(self, spec: CausalLmFoundation, base: CausalLmFoundation) -> tuple[str, ...]:
        """What config.json has in unequal values that change answers."""
        from rayforget.foundations.causal_lm.source import unlike_configs

        return unlike_configs(spec, base)

    def find(self, spec: CausalLmFoundation) -> None:
        """Checks the folder with its files, and the packages that score texts."""
        from rayforget.foundations.causal_lm.source import causal_source

        need("lm_eval", "foundation.kind: causal_lm")
        causal_source(spec)

    def pin(self, spec: CausalLmFoundation) -> CausalLmFoundation:
        """The settings with the commit of a hub model."""
        from rayforget.foundations.revisions import commit_of

        if spec.model == "builtin" or Path(spec.model).is_absolute():
            return spec
        commit = commit_of(spec.model, "config.json", revision=spec.revision)
        return spec if commit is None else spec.model_copy(update={"revision": commit})

    def trained_layers(self, spec: CausalLmFoundation, head: str | None) -> "nn.Module | None":
        """The layers of the whole model."""
        from rayforget.foundations.causal_lm.shapes import trained_layers
        from rayforget.foundations.causal_lm.source import causal_source

        source = causal_source(spec)
        return trained_layers(source) if source.is_folder else None

    def load(self, spec: CausalLmFoundation, device: "torch.device", share: "Share") -> "CausalLm":
        """Loads transformers' model with its tokenizer."""
        from rayforget.foundations.causal_lm.model import load_causal_lm

        return load_causal_lm(spec, device, share)

    def with_tasks(
        self, model: "CausalLm", spec: CausalLmFoundation, tasks: "Opened", *, cache: Path, resources: "Resources"
    ) -> "PreparedCausalLm":
        """Sets up the model with its tasks of texts."""
        from rayforget.foundations.causal_lm.prepared import with_tasks
        from rayforget.tasks.text.resolved import ResolvedText

        return with_tasks(
            model,
            spec.sequences,
            {name: task for name, task in tasks.items() if isinstance(task, ResolvedText)},
            cache=cache,
            batch_tokens=resources.evaluation_tokens,
            sharded=resources.sharding == "fsdp",
        )

    def first_items(self, foundation: "Foundation") -> Mapping[str, str]:
        """Tokens with what is learnt marked; see `first_sequence`."""
        from rayforget.foundations.causal_lm.prepared import PreparedCausalLm

        return foundation.first_items() if isinstance(foundation, PreparedCausalLm) else {}

    def exporter(self, foundation: "Foundation", spec: CausalLmFoundation) -> "CausalExporter":
        """Writes folders of transformers and peft."""
        from rayforget.foundations.causal_lm.exporter import CausalExporter
        from rayforget.foundations.causal_lm.prepared import PreparedCausalLm

        assert isinstance(foundation, PreparedCausalLm)
        return CausalExporter(foundation, spec)
