import hashlib
import json
import logging

import open_clip
import pytest
import torch
from open_clip.pretrained import _PRETRAINED
from tiny_clip import TEXT, VIT, save_clip

from rayforget.errors import FoundationError
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.kind import ClipKind
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.source import builtin_folder, clip_source, quiet_open_clip


def spec(model, pretrained=None):
    return ClipFoundation(kind="clip", model=model, pretrained=pretrained)


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-B-61", "openai", r"no model of open_clip \(did you mean .*ViT-B-16"),
        ("vit-b-32", "openai", r"did you mean ViT-B-32"),
        ("ViT-B-16", "opanai", r"no tag \(did you mean openai\?\)"),
        ("local:x", "openai", r"unknown 'local'"),
        ("local-dir:/no/such/folder", None, r"no such folder"),
        ("hf-hub:", None, r"cannot be a name on the hub; write hf-hub:OWNER/NAME"),
        ("hf-hub:a b/../c", None, r"cannot be a name on the hub"),
        ("hf-hub:a/..", None, r"cannot be a name on the hub"),
        ("hf-hub:alone", None, r"cannot be a name on the hub"),
    ],
)
def test_mistake_is_named_with_what_to_do(model, pretrained, message):
    with pytest.raises(FoundationError, match=message):
        clip_source(spec(model, pretrained))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("open_clip_config.json", None, "open_clip_config.json is missing"),
        ("open_clip_config.json", "{", "is no JSON"),
        ("open_clip_config.json", "{}", "no model_cfg"),
        ("open_clip_config.json", "[]", "expected a JSON object"),
        ("open_clip_config.json", '{"model_cfg": 3}', "no model_cfg with embed_dim"),
        ("open_clip_model.safetensors", "", "open_clip_model.safetensors holds no bytes"),
        ("open_clip_model.safetensors", None, "no weights"),
    ],
)
def test_incomplete_folder_is_named(tmp_path, file, content, message):
    foundation = save_clip(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(FoundationError, match=message):
        clip_source(foundation)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_config.json", "vocab.txt", "w.pt"])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_pointer_of_git_lfs_is_called_one(tmp_path, file, by_name):
    foundation = save_clip(tmp_path)
    (tmp_path / file).write_text(POINTER)
    if by_name or file == "w.pt":
        model = "ViT-B-32" if by_name else foundation.model
        foundation = spec(model, str(tmp_path / file))
    with pytest.raises(FoundationError, match=rf"{file} is Git LFS's pointer to .* git lfs pull"):
        clip_source(foundation)


def test_tag_that_was_trained_with_quick_gelu_gets_it():
    assert clip_source(spec("ViT-B-16", "openai")).quick_gelu
    assert not clip_source(spec("ViT-B-16", "laion2b_s34b_b88k")).quick_gelu


def test_builtin_is_a_folder_inside_the_package():
    assert builtin_folder().parts[-4:] == ("rayforget", "builtin", "pictures", "weights")


def test_a_file_of_weights_may_stand_for_a_tag(tmp_path):
    file = tmp_path / "laion2b_s34b_b88k.pt"
    with pytest.raises(FoundationError, match=r"b88k\.pt: no such file; open_clip has for ViT-B-16: .*openai"):
        clip_source(spec("ViT-B-16", str(file)))
    file.touch()
    assert clip_source(spec("ViT-B-16", str(file))).pretrained == str(file)


OPENAI = (0.48145466, 0.4578275, 0.40821073)


@pytest.mark.parametrize(
    ("model", "file", "settings", "quick_gelu", "mean"),
    [
        ("ViT-B-32", "my-ViT-B-32.OpenAI.pt", {}, True, OPENAI),
        ("ViT-B-32", "laion2b_s34b_b79k.safetensors", {}, False, OPENAI),
        ("ViT-L-14", "dfn2b_s39b-tuned.pt", {}, False, OPENAI),
        ("ViT-L-14", "dfn2b-tuned.pt", {}, True, OPENAI),
        ("ViT-L-14", "models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/w.bin", {}, False, (0.5,) * 3),
        ("ViT-B-32", "w.pt", {"like": "openai"}, True, OPENAI),
        ("ViT-B-32", "openai.pt", {"quick_gelu": False, "mean": (0.1, 0.2, 0.3)}, False, (0.1, 0.2, 0.3)),
        ("RN50", "rn50.pt", {}, True, OPENAI),
        ("RN50-quickgelu", "w.pt", {}, True, OPENAI),
        ("MobileCLIP2-S0", "F.pt", {}, False, (0.0,) * 3),
    ],
)
def test_a_file_gets_its_tags_activation_and_preprocessing(tmp_path, model, file, settings, quick_gelu, mean):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    source = clip_source(ClipFoundation(kind="clip", model=model, pretrained=str(tmp_path / file), **settings))
    assert source.quick_gelu == quick_gelu
    assert tuple(source.preprocessing["mean"]) == mean


def test_a_file_is_known_by_its_hash_and_refused_if_nothing_tells(tmp_path, monkeypatch):
    file = tmp_path / "w.pt"
    file.write_bytes(b"weights")
    with pytest.raises(FoundationError, match=r"open_clip's tags of ViT-B-32 differ \(openai.*: QuickGELU.*like: TAG"):
        clip_source(spec("ViT-B-32", str(file)))
    known = dict(_PRETRAINED["ViT-B-32"])
    known["openai"] = {**known["openai"], "url": f"https://a/{hashlib.sha256(b'weights').hexdigest()}/ViT-B-32.pt"}
    monkeypatch.setitem(_PRETRAINED, "ViT-B-32", known)
    source = clip_source(spec("ViT-B-32", str(file)))
    assert source.quick_gelu
    assert str(source.runs_with).startswith("QuickGELU; mean (0.4815, ")
    (remark,) = ClipKind().remarks(spec("ViT-B-32", str(file)))
    assert "runs with QuickGELU; mean (0.4815, " in remark
    assert "the tag openai, by the file's hash" in remark


def test_an_unknown_tag_and_settings_of_files_without_one_are_refused(tmp_path):
    file = tmp_path / "w.pt"
    file.touch()
    with pytest.raises(FoundationError, match=r"foundation.like 'opanai' is no tag of ViT-B-32"):
        clip_source(ClipFoundation(kind="clip", model="ViT-B-32", pretrained=str(file), like="opanai"))
    with pytest.raises(ValueError, match="without a file in `pretrained:`"):
        ClipFoundation(kind="clip", model="ViT-B-32", pretrained="openai", like="openai")


def test_no_tag_of_open_clip_looks_like_a_file():
    tags = {tag for _, tag in open_clip.list_pretrained()}
    assert len(tags) > 50
    assert [tag for tag in tags if spec("ViT-B-16", tag).pretrained != tag] == []


def test_open_clips_messages_are_kept_back_and_no_others(tmp_path, caplog):
    foundation = save_clip(tmp_path)
    caplog.set_level(logging.INFO)
    open_clip.create_model(foundation.model)
    assert caplog.records  # otherwise there would be nothing to suppress
    caplog.clear()
    with quiet_open_clip():
        open_clip.create_model(foundation.model)
        assert caplog.records == []
        logging.getLogger("somebody").info("else")
        logging.getLogger().warning("through the root logger")
    assert [record.getMessage() for record in caplog.records] == ["else", "through the root logger"]
    open_clip.create_model(foundation.model)
    assert len(caplog.records) > 2


def test_loading_leaves_the_root_logger_as_it_was(tmp_path, monkeypatch):
    foundation, root = save_clip(tmp_path), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = (root.level, list(root.filters))
    with quiet_open_clip():
        open_clip.create_model(foundation.model)
    assert root.handlers == []
    assert (root.level, root.filters) == before


def test_code_that_a_folder_brings_runs_only_if_the_space_trusts_it(tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    tokenizer = {"hf_tokenizer_name": "x", "tokenizer_kwargs": {"trust_remote_code": True}}
    foundation = save_clip(tmp_path / "asks", text={**TEXT, **tokenizer})
    with pytest.raises(FoundationError, match=r"model_cfg.text_cfg.tokenizer_kwargs.trust_remote_code: True"):
        clip_source(foundation)
    assert clip_source(foundation.model_copy(update={"trust_remote_code": True}))

    quiet = save_clip(tmp_path / "quiet", text={**TEXT, "hf_tokenizer_name": "x"})
    auto = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (tmp_path / "quiet" / "tokenizer_config.json").write_text(json.dumps(auto))
    (tmp_path / "quiet" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "quiet" / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(FoundationError, match="cannot load"):
        load_clip(quiet, torch.device("cpu"))
    assert not ran.exists()


def test_code_of_a_text_tower_does_not_run_on_a_terminal_either(tmp_path, monkeypatch):
    ran, tower = tmp_path / "ran", tmp_path / "tower"
    tower.mkdir()
    auto = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (tower / "config.json").write_text(json.dumps({"model_type": "planted", "auto_map": auto}))
    (tower / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass OwnConfig: pass\nclass OwnModel: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    bert = {"hf_model_name": str(tower), "hf_tokenizer_name": "", "context_length": 16}
    config = {"embed_dim": 24, "vision_cfg": VIT, "text_cfg": bert}
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    planted = spec(f"local-dir:{folder}")
    with pytest.raises(FoundationError, match="custom code"):
        load_clip(planted, torch.device("cpu"))
    assert ClipKind().trained_layers(planted, "text") is None
    assert not ran.exists()
