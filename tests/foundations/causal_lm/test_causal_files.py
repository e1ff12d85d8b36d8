"""The files of a language model: what was never read is refused by name, and what can be read without code is."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_lm import save_lm
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.exporter import CausalExporter
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.prepared import with_tasks
from rayforget.space.tasks.text import Sequences

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_lm(tmp_path / "model", "llama")


def _load(folder: Path) -> CausalLm:
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), CPU)


def _tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def _rewrite(folder: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _configure(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize("name", ["model.layers.1.mlp.down_proj.weight", "lm_head.weight"])
def test_a_tensor_that_is_in_no_file_is_refused_by_name(folder: Path, name: str) -> None:
    _rewrite(folder, {key: tensor for key, tensor in _tensors(folder).items() if key != name})
    with pytest.raises(FoundationError, match=f"the files lack {name} of the model"):
        _load(folder)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model.", "module._orig_mod."])
def test_names_that_a_wrapper_prefixed_are_read_without_it_and_a_note_says_so(
    folder: Path, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = _load(folder).theta_0_hash
    _rewrite(folder, {prefix + name: tensor for name, tensor in _tensors(folder).items()})
    with caplog.at_level(logging.WARNING):
        assert _load(folder).theta_0_hash == expected
    assert f"names of 21 of its tensors have {prefix}" in caplog.text


@pytest.mark.parametrize(
    ("part", "wrapped"),
    [
        ("model.", "model.module."),
        ("layers.0.", "layers.0._orig_mod."),
        ("self_attn.", "_fsdp_wrapped_module._checkpoint_wrapped_module.self_attn."),
        (".norm.", "._fsdp_wrapped_module.norm."),
    ],
)
def test_wrappers_of_a_model_s_parts_are_read_over_and_never_saved(folder: Path, part: str, wrapped: str) -> None:
    spec = CausalLmFoundation(kind="causal_lm", model=str(folder))
    expected, names = _load(folder).theta_0_hash, _tensors(folder).keys()
    _rewrite(folder, {name.replace(part, wrapped): tensor for name, tensor in _tensors(folder).items()})
    model = _load(folder)
    assert model.theta_0_hash == expected
    foundation = with_tasks(model, Sequences(), {}, cache=folder, batch_tokens=64)
    CausalExporter(foundation, spec).save(model.theta_0, folder / "out", torch.float32)
    assert _tensors(folder / "out").keys() == names


def test_an_adapter_beside_the_weights_that_is_not_merged_is_refused(folder: Path) -> None:
    name = "model.layers.0.self_attn.q_proj.lora_A.default.weight"
    _rewrite(folder, {**_tensors(folder), name: torch.ones(2, 32)})
    with pytest.raises(FoundationError, match=rf"LoRA adapter that is not merged into them \({name}\)"):
        _load(folder)


def test_tensors_that_the_model_has_no_place_for_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    _rewrite(folder, {**_tensors(folder), "ema.step": torch.zeros(1)})
    with caplog.at_level(logging.WARNING):
        _load(folder)
    assert "no place for ema.step" in caplog.text


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "epoch_3.pth"])
def test_pickled_tensors_are_read_without_code(folder: Path, name: str) -> None:
    expected, tensors = _load(folder).theta_0_hash, _tensors(folder)
    (folder / "model.safetensors").unlink()
    nested = {"state_dict": {f"module.{key}": t for key, t in tensors.items()}, "epoch": 3}
    torch.save(tensors if name.endswith(".bin") else nested, folder / name)
    assert _load(folder).theta_0_hash == expected


def test_what_torch_refuses_is_refused_with_its_reason_and_the_way_out(folder: Path) -> None:
    tensors = _tensors(folder)
    (folder / "model.safetensors").unlink()
    for value, reason in (
        ({**tensors, "best": np.float64(1.0)}, r"numpy values .*scalar"),
        (nn.Linear(2, 2), r"whole Python object .*torch\.nn\.modules\.linear\.Linear"),
    ):
        for name in ("pytorch_model.bin", "weights.pt"):
            torch.save(value, folder / name)
            with pytest.raises(FoundationError, match=rf"(?s)is refused: it .*{reason}.*weights_only=False"):
                _load(folder)
            (folder / name).unlink()


@pytest.mark.parametrize("value", [[torch.ones(2)], torch.ones(3)])
def test_a_pickle_without_names_says_what_it_holds(folder: Path, value: Any) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(value, folder / "model.pt")
    with pytest.raises(FoundationError, match=rf"model.pt holds {type(value).__name__} without tensors by name"):
        _load(folder)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "model.pt", "tokenizer.json", "config.json"]
)
def test_a_pointer_of_git_lfs_is_called_one(folder: Path, name: str) -> None:
    if name.startswith(("model", "pytorch")):
        (folder / "model.safetensors").unlink()
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(FoundationError, match=f"{name} is Git LFS's pointer"):
        _load(folder)


def test_a_torchscript_archive_is_called_one(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), folder / "pytorch_model.bin")
    with pytest.raises(FoundationError, match="is a TorchScript archive"):
        _load(folder)


def test_weights_that_are_not_finite_are_said_to_be_so_and_where(folder: Path) -> None:
    tensors = _tensors(folder)
    tensors["model.norm.weight"][3] = torch.nan
    tensors["lm_head.weight"][0, :2] = torch.inf
    _rewrite(folder, tensors)
    with pytest.raises(
        FoundationError, match=r"not finite.*lm_head.weight \(2 of \d+\), model.norm.weight \(1 of 32\)"
    ):
        _load(folder)


def test_a_file_of_weights_that_is_not_there_is_named(folder: Path) -> None:
    import transformers

    transformers.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="60KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    second = sorted(folder.glob("model-*.safetensors"))[1]
    second.unlink()
    with pytest.raises(FoundationError, match=f"{second.name} is not there"):
        _load(folder)


def test_a_pad_token_that_is_none_pads_with_the_end(folder: Path) -> None:
    _configure(folder, pad_token_id=-1)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert _load(folder).pad_token == 2
