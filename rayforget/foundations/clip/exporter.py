"""A CLIP point's weights -> open_clip's own model, in memory or as a folder (implements `Exporter`).

The names of theta are open_clip's own, with attention fused, so that only what theta lacks is added: whole numbers
(BatchNorm's count of batches) and the further names of tied tensors. The configuration says how the model was run when
it was scored: QuickGELU, and mean, std, size and interpolation of the preprocessing.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.cards import license_of, license_on_hub
from rayforget.foundations.clip.attention import fused_names
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.names import HEAD
from rayforget.foundations.clip.own_code import nobody_asked
from rayforget.foundations.clip.prepared import PreparedClip
from rayforget.foundations.clip.source import builtin_folder, quiet_open_clip
from rayforget.foundations.exporter import Aside, LibraryModel, LowRankChange, ModelWords
from rayforget.foundations.protocol import State
from rayforget.space.paths import LOCAL_FOLDER, is_weights_file

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_PROBE = ["a photo of a dog.", "Ünlike 1,234 others; répondu!"]
_LOADING = """\
import open_clip

model, preprocess = open_clip.create_model_from_pretrained("local-dir:FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")
"""


class ClipExporter:
    """Writes CLIP models for open_clip."""

    def __init__(self, foundation: PreparedClip, spec: ClipFoundation) -> None:
        self._foundation, self._model, self._spec = foundation, foundation.model, spec

    @property
    def words(self) -> ModelWords:
        """open_clip, and the pretrained model's name and licence as far as they are known."""
        base, base_model, license = _origin(self._spec)
        return ModelWords(
            library="open_clip",
            pipeline="zero-shot-image-classification",
            loading=_LOADING,
            base=base,
            base_model=base_model,
            license=license,
        )

    def aside(self, theta: State) -> Aside | None:
        """A trained classifier with the names of its classes."""
        if HEAD not in theta:
            return None
        task = self._foundation.speciality
        groups = {} if task.class_groups is None else {"class_groups": json.dumps(task.class_groups)}
        note = (
            f"The recipe trained a classifier of the {len(task.class_names)} classes of `{task.name}`, for which "
            "open_clip's model has no place. It is the tensor `head.weight` (classes × features) of "
            "`classifier.safetensors`; the file's metadata has `class_names`, in order. Logits are "
            "`model.logit_scale.exp() * model.encode_image(x, normalize=True) @ weight.T`. The scores of this task, "
            "and of tasks on some of its classes with its prompts, are those of this classifier; other classes are "
            "scored by the text tower. Without the file, open_clip answers by the text tower alone."
        )
        return Aside(
            file="classifier.safetensors",
            tensors={HEAD: theta[HEAD]},
            metadata={"class_names": json.dumps(task.class_names), **groups},
            note=note,
        )

    def model(self, theta: State) -> LibraryModel:
        """open_clip's model, its tokenizer and its preprocessing."""
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        with TemporaryDirectory() as place, quiet_open_clip(), nobody_asked(trusted=self._spec.trust_remote_code):
            self._write_config(Path(place))
            with torch.random.fork_rng(devices=[]):  # new weights are drawn, and then replaced
                clip: nn.Module = open_clip.create_model(
                    f"{LOCAL_FOLDER}{place}", load_weights=False, pretrained_text=False
                )
        clip.load_state_dict(self._state(theta), strict=True)
        settings: dict[str, Any] = clip.visual.preprocess_cfg  # type: ignore[assignment, union-attr]
        return LibraryModel(
            model=clip.eval(),
            tokenizer=self._model.tokenizer,
            preprocess=image_transform_v2(PreprocessCfg(**settings), is_train=False),
            aside=self.aside(theta),
        )

    def save(self, theta: State, folder: Path, dtype: torch.dtype) -> ClipFoundation:
        """open_clip's local-folder format."""
        self._write_settings(folder)
        state = {
            name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
            for name, tensor in self._state(theta).items()
        }
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
        trusted = self._spec.trust_remote_code
        return ClipFoundation(kind="clip", model=f"{LOCAL_FOLDER}{folder.absolute()}", trust_remote_code=trusted)

    def save_adapter(self, change: LowRankChange, folder: Path) -> ClipFoundation:
        """Always raises: no library puts peft's adapters on open_clip's fused attention."""
        raise FoundationError("--adapter: open_clip loads no adapters; export the merged model, without --adapter")

    def _state(self, theta: State) -> dict[str, Tensor]:
        """All that open_clip's `load_state_dict` asks for; each name has memory of its own."""
        clip = self._model.clip
        first: dict[int, str] = {}
        alias = {
            name: first.setdefault(id(tensor), name) for name, tensor in clip.named_parameters(remove_duplicate=False)
        }
        found = {}
        for name, tensor in fused_names(clip.state_dict(), self._model.swapped).items():
            known = theta.get(name, theta.get(alias.get(name, name)))
            if known is None and tensor.is_floating_point():
                raise FoundationError(f"{name} of open_clip's model is not among the point's tensors")
            found[name] = (tensor if known is None else known).detach().cpu().clone()
        return found

    def _write_config(self, folder: Path) -> None:
        (folder / CONFIG).write_text(json.dumps(dict(self._model.config), indent=2) + "\n", encoding="utf-8")

    def _write_settings(self, folder: Path) -> None:
        """The configuration, and the tokenizer if it is not open_clip's own; both are read again and compared."""
        import open_clip

        self._write_config(folder)
        tokenizer: Any = self._model.tokenizer
        if self._model.config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"):
            tokenizer.save_pretrained(str(folder))
        with quiet_open_clip(), nobody_asked(trusted=self._spec.trust_remote_code):
            again = open_clip.get_tokenizer(f"{LOCAL_FOLDER}{folder}")
        if not torch.equal(again(_PROBE), tokenizer(_PROBE)):
            raise FoundationError(
                f"open_clip chooses the tokenizer of {self._spec.model} by that name, and another one for a folder: it "
                "cannot be exported as one; take the point in memory: rayforget.open_sweep(NAME).load(POINT)"
            )


def _origin(spec: ClipFoundation) -> tuple[str, str | None, str | None]:
    """The pretrained model in words, its name on the hub, and its licence."""
    from open_clip.pretrained import get_pretrained_cfg

    prefix, _, place = spec.model.partition(":")
    if spec.pretrained is not None and is_weights_file(spec.pretrained):
        architecture = Path(place).name if prefix == "local-dir" else place or spec.model
        return f"{Path(spec.pretrained).name} (weights for {architecture})", None, None
    if spec.model == "builtin":
        return "rayforget's built-in CLIP", None, license_of(builtin_folder()) or "apache-2.0"
    if prefix == "local-dir":
        return Path(place).name, None, license_of(Path(place))
    if prefix == "hf-hub":
        return place, place, license_on_hub(place, spec.revision)
    tag = get_pretrained_cfg(spec.model.replace("/", "-"), spec.pretrained or "")
    on_hub = str(tag.get("hf_hub", "")).strip("/") or None
    return f"{spec.model} {spec.pretrained}", on_hub, None if on_hub is None else license_on_hub(on_hub)
