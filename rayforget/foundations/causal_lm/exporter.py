"""A language model point's weights -> transformers' own model, in memory or as a folder (implements `Exporter`)."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.cards import license_of, license_on_hub
from rayforget.foundations.causal_lm.adapter_folder import write_adapter
from rayforget.foundations.causal_lm.carried import carry
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.loading import original_config
from rayforget.foundations.causal_lm.prepared import PreparedCausalLm
from rayforget.foundations.causal_lm.source import causal_source
from rayforget.foundations.exporter import Aside, LibraryModel, LowRankChange, ModelWords
from rayforget.foundations.protocol import State

SHARD = "5GB"
_LOADING = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
"""
_SERVING = """\
Other programs take the folder too, if they know the architecture: `vllm serve FOLDER` for vLLM; for llama.cpp
`python convert_hf_to_gguf.py FOLDER --outfile model.gguf` (the script is llama.cpp's), then `llama-cli -m model.gguf`.
"""


class CausalExporter:
    """Writes language models for transformers and peft."""

    def __init__(self, foundation: PreparedCausalLm, spec: CausalLmFoundation) -> None:
        self._model, self._spec = foundation.model, spec
        self._lm: Any = foundation.model.head.lm

    @property
    def words(self) -> ModelWords:
        """transformers, and the pretrained model's name and licence as far as they are known."""
        source = causal_source(self._spec)
        license: str | None
        if source.adapter is not None:
            place = Path(source.adapter)
            start = Path(source.name).name if source.is_folder else source.name
            base, license = f"{place.name} (an adapter of {start})", license_of(place)
        elif self._spec.model == "builtin":
            base, license = "rayforget's built-in language model", "apache-2.0"
        elif source.is_folder:
            place = Path(source.name)
            base, license = place.name, license_of(place)
        else:
            base, license = source.name, license_on_hub(source.name, source.revision)
        return ModelWords(
            library="transformers",
            pipeline="text-generation",
            loading=_LOADING,
            serving=_SERVING,
            base=base,
            base_model=None if source.is_folder or source.adapter else source.name,
            license=license,
            adapter_library="peft",
        )

    def aside(self, theta: State) -> Aside | None:
        """Nothing: a language model's head is a part of it."""
        return None

    def model(self, theta: State) -> LibraryModel:
        """transformers' model and tokenizer."""
        source = causal_source(self._spec)
        known: Any = type(self._lm)
        lm: nn.Module = known.from_pretrained(
            None,
            config=original_config(source),
            state_dict={name: tensor.clone() for name, tensor in self._state(theta).items()},
            dtype=torch.float32,
            attn_implementation=self._lm.config._attn_implementation,
        )
        return LibraryModel(model=lm.eval(), tokenizer=self._model.tokenizer)

    def save(self, theta: State, folder: Path, dtype: torch.dtype) -> CausalLmFoundation:
        """transformers' folder: safetensors, with an index above 5 GB; all other files are the foundation's own."""
        lm = copy.copy(self._lm)  # saving notes the type in the model's own settings
        lm.config = copy.deepcopy(lm.config)
        lm.save_pretrained(folder, state_dict=self._state(theta, dtype), max_shard_size=SHARD)
        source = causal_source(self._spec)
        unties = original_config(source).tie_word_embeddings and not self._is_tied()
        carry(source, folder, str(dtype).removeprefix("torch."), unties=unties)
        return self._named(folder)

    def save_adapter(self, change: LowRankChange, folder: Path) -> CausalLmFoundation:
        """peft's folder, which names the foundation as its base."""
        source = causal_source(self._spec)
        if source.adapter is not None:
            raise FoundationError(
                f"--adapter: the foundation is itself the adapter {source.adapter} merged into {source.name}, and peft "
                "loads one onto a model that is a folder; export the merged model, without --adapter"
            )
        base = str(Path(source.name).absolute()) if source.is_folder else source.name
        write_adapter(self._lm, change, folder, base=base, revision=source.revision)
        return self._named(folder)

    def _is_tied(self) -> bool:
        output = self._lm.get_output_embeddings()
        return getattr(output, "weight", None) is self._lm.get_input_embeddings().weight

    def _named(self, folder: Path) -> CausalLmFoundation:
        return self._spec.model_copy(update={"model": str(folder.absolute()), "revision": None, "adapter": None})

    def _state(self, theta: State, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """All that the model's `state_dict` names; tied names share memory, by which transformers knows them."""
        first: dict[int, str] = {}
        alias = {
            name: first.setdefault(id(tensor), name)
            for name, tensor in self._lm.named_parameters(remove_duplicate=False)
        }
        cast = {name: tensor.to(dtype) for name, tensor in theta.items()}
        found = {}
        for name, tensor in self._lm.state_dict().items():
            known = cast.get(name, cast.get(alias.get(name, name)))
            if known is None and tensor.is_floating_point():
                raise FoundationError(f"{name} of transformers' model is not among the point's tensors")
            found[name] = tensor.cpu() if known is None else known
        return found
