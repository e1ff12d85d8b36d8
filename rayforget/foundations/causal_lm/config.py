"""A space file's settings of a causal language model."""

from collections.abc import Iterable
from typing import Literal

from rayforget.space.foundation import FoundationConfig
from rayforget.space.frozen import Problem
from rayforget.space.paths import FolderOrHubName
from rayforget.space.tasks.text import Sequences


class CausalLmFoundation(FoundationConfig):
    """A causal language model of transformers (`AutoModelForCausalLM`), in safetensors or pickled."""

    kind: Literal["causal_lm"]
    model: FolderOrHubName
    """Local folder (a peft adapter's is merged into its base), name on the hub (`facebook/galactica-1.3b`), or
    `builtin` for the tiny one."""
    adapter: FolderOrHubName | None = None
    """Local folder of a peft adapter to merge into `model`, whatever base the adapter itself names."""
    revision: str | None = None
    """Commit of a hub model; null takes the newest, and the record names the commit used."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run on your machines."""
    sequences: Sequences = Sequences()
    """How texts become training sequences."""

    def problems(self) -> Iterable[Problem]:
        """A revision that would not be read."""
        if self.revision is not None and (self.model == "builtin" or self.model.startswith("/")):
            text = f"found {self.revision!r} with model: {self.model}, which is no hub model: remove it"
            yield Problem(at=("revision",), text=text)
