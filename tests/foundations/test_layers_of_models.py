"""The layer of each tensor, compared to the models' own account of their blocks."""

from collections.abc import Mapping

import pytest
import torch

from rayforget.foundations.causal_lm.layers import causal_layers
from rayforget.foundations.clip.layers import clip_layers
from rayforget.foundations.layers import tower_layers
from rayforget.values.layers import Layer

UNTIED = {"tie_word_embeddings": False}


def clip_names(model: str) -> list[str]:
    import open_clip

    clip = open_clip.create_model(model, load_weights=False, pretrained_text=False, precision="fp32", device="meta")
    return [name for name, _ in clip.named_parameters()]


def causal_names(model_type: str, **settings: object) -> list[str]:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(model_type, **settings)
    with torch.device("meta"):
        return [name for name, _ in AutoModelForCausalLM.from_config(config).named_parameters()]  # type: ignore[no-untyped-call]


def at(layers: Mapping[str, Layer], index: int, begin: str = "") -> list[str]:
    return [name for name, layer in layers.items() if layer.index == index and name.startswith(begin)]


def test_both_towers_of_a_clip_go_from_their_embeddings_to_their_projection() -> None:
    layers = clip_layers([*clip_names("ViT-B-16"), "head.weight"])
    for begin in ("visual.", ""):
        blocks = [name for name in layers if name.startswith(f"{begin}transformer.resblocks.")]
        assert all(
            layers[name] == Layer(index=1 + int(name.split("resblocks.")[1].split(".")[0]), count=14) for name in blocks
        )
        assert len(blocks) == 12 * 12
    first, last = at(layers, 0), at(layers, 13)
    assert set(first) == {
        "visual.class_embedding", "visual.positional_embedding", "visual.conv1.weight", "visual.ln_pre.weight",
        "visual.ln_pre.bias", "positional_embedding", "token_embedding.weight",
    }  # fmt: skip
    assert set(last) == {
        "visual.ln_post.weight", "visual.ln_post.bias", "visual.proj", "ln_final.weight", "ln_final.bias",
        "text_projection", "logit_scale", "head.weight",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "count"),
    [("RN50", 3 + 4 + 6 + 3), ("convnext_base", 3 + 3 + 27 + 3 + 3), ("ViT-B-16-SigLIP", 12)],
)
def test_towers_of_unlike_depth_both_run_from_0_to_1(model: str, count: int) -> None:
    """A ConvNeXt has three layers between its stages besides its blocks."""
    layers = clip_layers(clip_names(model))
    assert {layer.count for name, layer in layers.items() if name.startswith("visual.")} == {count + 2}
    assert {layer.count for name, layer in layers.items() if not name.startswith(("visual.", "logit"))} == {14}
    for tower in (
        [n for n in layers if n.startswith("visual.")],
        [n for n in layers if "transformer" in n or "token" in n],
    ):
        assert min(layers[name].depth for name in tower) == 0.0
    assert layers["logit_scale"] == Layer(index=count + 1, count=count + 2)


@pytest.mark.parametrize(
    ("model_type", "settings", "first", "last"),
    [
        ("opt", {"num_hidden_layers": 3}, "model.decoder.embed_tokens.weight", "model.decoder.final_layer_norm.weight"),
        ("gpt2", {"n_layer": 3}, "transformer.wte.weight", "transformer.ln_f.weight"),
        ("gpt_neox", {"num_hidden_layers": 3}, "gpt_neox.embed_in.weight", "gpt_neox.final_layer_norm.weight"),
        ("llama", {"num_hidden_layers": 3, **UNTIED}, "model.embed_tokens.weight", "lm_head.weight"),
        ("mixtral", {"num_hidden_layers": 3, "num_local_experts": 4}, "model.embed_tokens.weight", "model.norm.weight"),
        ("bloom", {"n_layer": 3}, "transformer.word_embeddings_layernorm.weight", "transformer.ln_f.bias"),
    ],
)
def test_a_language_model_has_its_blocks_between_embeddings_and_output(
    model_type: str, settings: dict[str, object], first: str, last: str
) -> None:
    layers = causal_layers(causal_names(model_type, **settings))
    assert layers[first] == Layer(index=0, count=5)
    assert layers[last] == Layer(index=4, count=5)
    per_block = [len(at(layers, index)) for index in (1, 2, 3)]
    assert per_block[0] == per_block[1] == per_block[2] > 0


def test_a_tied_output_is_in_the_embeddings_layer() -> None:
    tied, untied = (
        causal_layers(causal_names("llama", num_hidden_layers=1, tie_word_embeddings=tie)) for tie in (True, False)
    )
    assert "lm_head.weight" not in tied
    assert untied["lm_head.weight"] == Layer(index=2, count=3)
    assert tied == {name: layer for name, layer in untied.items() if name != "lm_head.weight"}


def test_a_part_that_a_tower_lacks_is_no_layer_of_it() -> None:
    assert tower_layers(["embed.weight", "head.weight"]) == {
        "embed.weight": Layer(index=0, count=2),
        "head.weight": Layer(index=1, count=2),
    }
    (alone,) = tower_layers(["blocks.0.weight"]).values()
    assert alone == Layer(index=0, count=1)
    assert alone.depth == 1.0
    assert tower_layers([]) == {}


def test_a_buffer_is_in_its_modules_layer_though_it_follows_all_parameters() -> None:
    names = clip_names("RN50")
    means = [name.replace("weight", "running_mean") for name in names if ".bn" in name and name.endswith("weight")]
    layers = clip_layers([*names, *means])
    assert all(layers[mean] == layers[mean.replace("running_mean", "weight")] for mean in means)
    assert {name: layers[name] for name in names} == clip_layers(names)
    assert {layers[mean].index for mean in means} == set(range(1 + 3 + 4 + 6 + 3))


@pytest.mark.parametrize(
    ("model_type", "settings", "first", "last"),
    [
        ("biogpt", {"num_hidden_layers": 2}, "biogpt.embed_positions.weight", "biogpt.layer_norm.weight"),
        ("xglm", {"num_layers": 2}, "model.embed_tokens.weight", "model.layer_norm.bias"),
        (
            "mbart",
            {"decoder_layers": 2, "is_decoder": True},
            "model.decoder.layernorm_embedding.weight",
            "model.decoder.layer_norm.weight",
        ),
        ("ctrl", {"n_layer": 2}, "transformer.w.weight", "transformer.layernorm.weight"),
        (
            "bert",
            {"num_hidden_layers": 2, "is_decoder": True},
            "bert.embeddings.LayerNorm.weight",
            "cls.predictions.transform.dense.weight",
        ),
        (
            "electra",
            {"num_hidden_layers": 2, "is_decoder": True},
            "electra.embeddings_project.weight",
            "generator_predictions.dense.weight",
        ),
        (
            "gemma4_text",
            {"num_hidden_layers": 2, "layer_types": ["full_attention"] * 2},
            "model.per_layer_projection_norm.weight",
            "model.norm.weight",
        ),
        ("xlm", {"n_layers": 2}, "transformer.layer_norm_emb.weight", "pred_layer.proj.bias"),
        ("lfm2", {"num_hidden_layers": 2}, "model.embed_tokens.weight", "model.embedding_norm.weight"),
        ("git", {"num_hidden_layers": 2}, "git.embeddings.LayerNorm.weight", "output.weight"),
    ],
)
def test_what_a_name_does_not_tell_is_told_by_the_models_order(
    model_type: str, settings: dict[str, object], first: str, last: str
) -> None:
    layers = causal_layers(causal_names(model_type, **settings))
    assert layers[first] == Layer(index=0, count=4)
    assert layers[last] == Layer(index=3, count=4)
    assert len(at(layers, 1)) == len(at(layers, 2)) > 0


def test_an_image_towers_last_convolution_is_in_its_last_layer() -> None:
    layers = clip_layers(clip_names("MobileCLIP-S1"))
    found = [layer for name, layer in layers.items() if name.startswith("visual.trunk.final_conv.")]
    assert found
    assert {layer.depth for layer in found} == {1.0}
    assert layers["visual.trunk.stem.0.conv_kxk.0.conv.weight"].depth == 0.0


def timm_layers(model: str) -> Mapping[str, Layer]:
    import timm

    with torch.device("meta"):
        trunk = timm.create_model(model, num_classes=0)
    return tower_layers(f"visual.trunk.{name}" for name, _ in trunk.named_parameters())


@pytest.mark.parametrize(
    ("model", "first", "blocks", "last"),
    [
        ("regnety_002", "stem.conv.weight", ["s1.b1", "s2.b1", "s3.b1", "s3.b2", "s3.b3", "s3.b4", "s4.b1"], None),
        (
            "densenet121",
            "features.conv0.weight",
            [f"features.denseblock1.denselayer{i + 1}" for i in range(6)],
            "norm5",
        ),
        (
            "dpn68",
            "features.conv1_1.conv.weight",
            ["features.conv2_1", "features.conv2_2", "features.conv2_3"],
            "ac.bn",
        ),
        ("legacy_xception", "conv1.weight", [f"block{i + 1}" for i in range(12)], "bn4"),
    ],
)
def test_blocks_may_be_numbered_in_their_words(model: str, first: str, blocks: list[str], last: str | None) -> None:
    layers = timm_layers(model)
    assert layers[f"visual.trunk.{first}"].depth == 0.0
    for index, block in enumerate(blocks):
        found = {layer.index for name, layer in layers.items() if name.startswith(f"visual.trunk.{block}.")}
        assert found == {index + 1}, block
    if last is not None:
        assert {layer.depth for name, layer in layers.items() if f"{last}." in name} == {1.0}


def test_what_lies_between_two_blocks_is_with_the_one_before_it() -> None:
    layers = timm_layers("densenet121")
    for number, blocks_before in ((1, 6), (2, 6 + 12), (3, 6 + 12 + 24)):
        parts = [layer for name, layer in layers.items() if f".transition{number}." in name]
        assert parts
        assert {layer.index for layer in parts} == {blocks_before}
    assert {layer.count for layer in layers.values()} == {1 + 6 + 12 + 24 + 16 + 1}


def test_stacks_of_one_part_for_each_block_are_the_blocks_together() -> None:
    layers = causal_layers(causal_names("xlm", n_layers=2))
    assert {name.split(".")[1] for name in at(layers, 2)} == {"attentions", "ffns", "layer_norm1", "layer_norm2"}
