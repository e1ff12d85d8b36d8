import pytest
import torch
from tiny_clip import TEMPLATES, save_clip

from rayforget.errors import FoundationError
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.text import class_features, prompt_tokens
from rayforget.space.recipe import LoraAdapter
from rayforget.train.lora import attach_lora, merged_weights

CPU = torch.device("cpu")
LINEARS = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")


def setup(folder, head):
    model = load_clip(save_clip(folder), CPU)
    tokens = prompt_tokens(model.clip, model.tokenizer, ("dog", "house"), TEMPLATES)
    with torch.no_grad():
        classifier = class_features(model.text, tokens, CPU)
    inputs = {"images": torch.randn(3, 3, 24, 24), **({"tokens": tokens[:, 0]} if head == "text" else {})}
    return model, build_module(model, head, classifier, gradient_checkpointing=False), inputs


@pytest.mark.parametrize("head", ["frozen", "trained", "text"])
def test_adapters_sit_on_the_named_projections_of_the_towers_that_train(tmp_path, head):
    _, module, inputs = setup(tmp_path, head)
    expected, before = module(**inputs), {name: x.clone() for name, x in module.state_dict().items()}
    factors = attach_lora(module, LoraAdapter(rank=2), seed=0)
    towers = ("clip.visual.transformer", "clip.transformer") if head == "text" else ("visual.transformer",)
    assert {lora.name for lora in factors} == {
        f"{tower}.resblocks.{block}.{linear}.weight" for tower in towers for block in range(2) for linear in LINEARS
    }
    assert torch.equal(module(**inputs), expected)
    merged = merged_weights(module, factors)
    assert merged.keys() == before.keys()
    assert all(torch.equal(merged[name], before[name]) for name in before)


@pytest.mark.parametrize("head", ["frozen", "trained", "text"])
def test_training_adapters_leaves_every_base_weight_as_it_was(tmp_path, head):
    _, module, inputs = setup(tmp_path, head)
    before = {name: x.clone() for name, x in module.state_dict().items() if name != "head.weight"}
    factors = attach_lora(module, LoraAdapter(rank=2), seed=0)
    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.1)
    for _ in range(5):
        module(**inputs).logsumexp(1).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    base = {name.replace(".base_layer.", "."): x for name, x in module.state_dict().items() if ".lora_" not in name}
    assert all(torch.equal(base[name], before[name]) for name in before)
    merged = merged_weights(module, factors)
    assert all(not torch.equal(merged[lora.name], before[lora.name]) for lora in factors)


def test_text_tower_takes_no_adapter_without_the_text_head(tmp_path):
    _, module, _ = setup(tmp_path, "frozen")
    with pytest.raises(FoundationError, match="with head: text only"):
        attach_lora(module, LoraAdapter(rank=1, targets=("clip.transformer.resblocks.0.attn.q_proj",)), seed=0)
