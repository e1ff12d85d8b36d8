import copy

import pytest
import torch
from tiny_clip import RESNET, fused_clip, save_clip
from torch import nn

from rayforget.errors import FoundationError
from rayforget.foundations.clip.attention import SplitAttention, fused_names, split_names, swap_attention


def both(clip):
    swapped = copy.deepcopy(clip)
    return clip, swapped, swap_attention(swapped)


def towers(clip, images, tokens):
    return clip.encode_image(images), clip.encode_text(tokens)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("num_items", [1, 7])
def test_both_towers_are_equal_to_the_last_bit(tmp_path, num_items, training):
    clip, swapped, _ = both(fused_clip(save_clip(tmp_path)).train(training))
    images, tokens = torch.randn(num_items, 3, 24, 24), torch.randint(1, 49407, (num_items, 20))
    for expected, found in zip(towers(clip, images, tokens), towers(swapped, images, tokens), strict=True):
        assert torch.equal(expected, found)


def test_fused_inference_path_is_equal_to_rounding(tmp_path):
    clip, swapped, _ = both(fused_clip(save_clip(tmp_path)))
    images, tokens = torch.randn(5, 3, 24, 24), torch.randint(1, 49407, (5, 20))
    with torch.inference_mode():
        for expected, found in zip(towers(clip, images, tokens), towers(swapped, images, tokens), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_gradients_are_equal(tmp_path):
    clip, swapped, names = both(fused_clip(save_clip(tmp_path)).double())
    images, tokens = torch.randn(3, 3, 24, 24, dtype=torch.float64), torch.randint(1, 49407, (3, 20))
    for model in (clip, swapped):
        sum(features.square().sum() for features in towers(model, images, tokens)).backward()
    found = fused_names({name: p.grad for name, p in swapped.named_parameters() if p.grad is not None}, names)
    for name, parameter in clip.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-12)


def test_names_map_exactly_both_ways(tmp_path):
    clip, swapped, names = both(fused_clip(save_clip(tmp_path)))
    fused, split = clip.state_dict(), swapped.state_dict()
    assert len(names) == 4
    there, back = split_names(fused, names), fused_names(split, names)
    assert there.keys() == split.keys()
    assert back.keys() == fused.keys()
    assert all(torch.equal(there[name], split[name]) for name in split)
    assert all(torch.equal(back[name], fused[name]) for name in fused)


def test_projections_are_plain_linears_and_nothing_fused_is_left(tmp_path):
    _, swapped, _ = both(fused_clip(save_clip(tmp_path)))
    kinds = {name.rsplit(".", 1)[-1]: type(part) for name, part in swapped.named_modules()}
    assert all(kinds[name] is nn.Linear for name in ("q_proj", "k_proj", "v_proj", "out_proj"))
    assert not any(isinstance(part, nn.MultiheadAttention) for part in swapped.modules())


def test_tower_without_fused_attention_is_left_alone(tmp_path):
    visual = fused_clip(save_clip(tmp_path, vision=RESNET)).visual
    before = [name for name, _ in visual.named_modules()]
    assert swap_attention(visual) == ()
    assert [name for name, _ in visual.named_modules()] == before


def test_swap_draws_no_random_number(tmp_path):
    clip = fused_clip(save_clip(tmp_path))
    before = torch.get_rng_state()
    swap_attention(clip)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("mask", ["none", "added", "boolean", "per head"])
def test_equals_torchs_module_with_keys_of_another_width_and_masks(batch_first, mask):
    fused = nn.MultiheadAttention(12, 3, kdim=10, vdim=8, batch_first=batch_first)
    nn.init.normal_(fused.in_proj_bias)
    shapes = {"query": (2, 5, 12), "key": (2, 7, 10), "value": (2, 7, 8)}
    inputs = {name: torch.randn(shape) for name, shape in shapes.items()}
    if not batch_first:
        inputs = {name: x.transpose(0, 1) for name, x in inputs.items()}
    attn_mask = {
        "none": None,
        "added": torch.randn(5, 7),
        "boolean": torch.ones(5, 7, dtype=torch.bool).triu(2),
        "per head": torch.randn(6, 5, 7),
    }[mask]
    expected, _ = fused(**inputs, need_weights=False, attn_mask=attn_mask)
    container = nn.ModuleDict({"attn": copy.deepcopy(fused)})
    names = swap_attention(container)
    found, _ = container["attn"](**inputs, attn_mask=attn_mask)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    back = fused_names(container.state_dict(), names)
    assert back.keys() == {f"attn.{name}" for name in fused.state_dict()}
    assert all(torch.equal(back[f"attn.{name}"], tensor) for name, tensor in fused.state_dict().items())


def test_query_without_key_and_value_is_refused(tmp_path):
    _, swapped, names = both(fused_clip(save_clip(tmp_path)))
    state = swapped.state_dict()
    del state["visual.transformer.resblocks.0.attn.k_proj.weight"]
    with pytest.raises(FoundationError, match=r"k_proj\.weight is missing"):
        fused_names(state, names)


def test_attention_that_cannot_be_swapped_exactly_is_refused():
    with pytest.raises(FoundationError, match="cannot be swapped exactly"):
        SplitAttention(nn.MultiheadAttention(8, 2, bias=False))


def test_real_model_is_equal_to_the_last_bit(shared):
    import open_clip

    clip, swapped, names = both(open_clip.create_model(f"local-dir:{shared / 'data/clip_real'}").eval())
    images, tokens = torch.randn(5, 3, 64, 64), torch.randint(1, 49407, (5, 16))
    for expected, found in zip(towers(clip, images, tokens), towers(swapped, images, tokens), strict=True):
        assert torch.equal(expected, found)
    back = fused_names(swapped.state_dict(), names)
    assert all(torch.equal(back[name], tensor) for name, tensor in clip.state_dict().items())
