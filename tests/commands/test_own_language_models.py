"""`rayforget interpolate` on two folders of transformers, and on a base with an adapter."""

from pathlib import Path

import pytest
import torch
from command_types import Run
from peft import LoraConfig, get_peft_model
from tiny_lm import save_lm
from transformers import AutoModelForCausalLM

from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep

SPACE = """\
name: texts
foundation: {kind: causal_lm, model: builtin}
tasks:
  medicine:
    kind: multiple_choice
    role: speciality
    val: {kind: language, part: medicine, split: val, count: 12}
    test: {kind: language, part: medicine, split: test, count: 14}
  picking:
    kind: instruction
    role: generality
    group: instructions
    val: {kind: language, part: picking, split: val, count: 9}
    test: {kind: language, part: picking, split: test, count: 7}
curve: {coarse: [0, 0.5, 1], refine: 0}
tracking: {enabled: false}
"""


@pytest.mark.slow
def test_two_folders_and_an_adapter_are_walked_to_and_mixed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    save_lm(tmp_path / "base", "llama", positions=256)
    lm = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    torch.manual_seed(0)
    lora = get_peft_model(lm, LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False))
    lora.save_pretrained(tmp_path / "adapter")
    save_lm(tmp_path / "tuned", "llama", positions=256, seed=1)
    models = ("--base", "base", "--tuned", "tuned", "--tuned", "adapter")
    code, said = run("interpolate", *models, "--tasks", "space.yaml", "--name", "mine")
    assert code == 0, said
    sweep = Sweep.open(Store.open(str(tmp_path / "runs")), "mine")
    records = {record.trial: record for record in sweep.records()}
    assert [*records] == ["0000-tuned", "0001-adapter", "0002-uniform_soup", "0003-greedy_soup", "theta_0"]
    assert records["0001-adapter"].recipe == {"method": "plain", "head": None, "models": [str(tmp_path / "adapter")]}
    moved = {f"model.layers.{i}.{part}.weight" for i in (0, 1) for part in ("self_attn.q_proj", "mlp.down_proj")}
    assert set(records["0001-adapter"].changed) == moved
    assert moved < set(records["0000-tuned"].changed)
    assert "likelihood of picking" in said
    code, said = run("evaluate", "tuned", "--tasks", "space.yaml", "--split", "both")
    assert code == 0
    end = next(point for point in records["0000-tuned"].points if point.alpha == 1)
    assert f"{100 * end.scores['picking'].value:.1f} ±" in said
