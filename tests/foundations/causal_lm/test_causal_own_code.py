"""Python that a language model's folder brings runs only if the space trusts it, whoever sits at the terminal."""

import json
from pathlib import Path

import pytest
import torch
from tiny_lm import save_lm

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.kind import CausalLmKind
from rayforget.foundations.causal_lm.model import load_causal_lm

_OWN = """
open({ran!r}, "w").close()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class OwnConfig(LlamaConfig):
    model_type = "planted"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""


def _planted(folder: Path, part: str) -> Path:
    """A folder whose config.json or tokenizer asks for `own.py`, which leaves a file when it is imported."""
    ran = folder / "ran"
    save_lm(folder, "llama")
    (folder / "own.py").write_text(_OWN.format(ran=str(ran)))
    name = "tokenizer_config.json" if part == "tokenizer" else "config.json"
    settings = json.loads((folder / name).read_text())
    if part == "tokenizer":
        settings |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]}}
    else:
        auto = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
        settings |= {"model_type": "planted", "auto_map": auto}
    (folder / name).write_text(json.dumps(settings))
    return ran


@pytest.fixture(autouse=True)
def yes(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))


@pytest.mark.parametrize("part", ["model", "tokenizer"])
def test_code_of_a_folder_runs_only_if_the_space_trusts_it(tmp_path: Path, part: str) -> None:
    ran = _planted(tmp_path, part)
    spec = CausalLmFoundation(kind="causal_lm", model=str(tmp_path))
    CausalLmKind().trained_layers(spec, None)  # what `check` builds for adapter.targets
    assert not ran.exists()
    with pytest.raises(FoundationError, match=r"brings code of its own: read it, then set foundation\.trust"):
        load_causal_lm(spec, torch.device("cpu"))
    assert not ran.exists()


def test_trusted_code_runs(tmp_path: Path) -> None:
    ran = _planted(tmp_path, "model")
    trusting = CausalLmFoundation(kind="causal_lm", model=str(tmp_path), trust_remote_code=True)
    assert CausalLmKind().trained_layers(trusting, None) is not None
    assert ran.exists()
    assert load_causal_lm(trusting, torch.device("cpu")).config["model_type"] == "planted"
