"""A folder with Galactica's layout: its tokenizer names no special token, config.json has pad 1 and eos 2."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_lm import TEXT, VOCABULARY, save_lm

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.tasks.text.encode import encode_pairs, encode_texts

CPU = torch.device("cpu")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
MARKS = ("[START_REF]", "[END_REF]", "[IMAGE]", "<fragments>", "</fragments>", "<work>", "</work>", "[START_AMINO]")
"""Some of the tokens that Galactica's tokenizer.json adds after its first four; <work> and the like are special too."""
PAIRS = [
    ("Question: What cures a fever?\nAnswer:", " the sun"),
    ("The doctor [START_REF]", " a garden[END_REF]"),
    ("<work> 12 times 3", " is 36</work>"),
    ("a context with a blank at its end ", "dog"),
    ("", "nothing before it"),
    ("</s>", " after an end mark"),
    ("[START_AMINO]MKV", "LLA"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_lm(tmp_path_factory.mktemp("galactica"), "opt", galactica=True, positions=2048)
    _galactica_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def _galactica_tokenizer() -> Any:
    """Byte-level BPE that takes digits one by one; its first four ids are Galactica's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS),
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in (*SPECIAL, *MARKS)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([TEXT] * 3, trainer)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> CausalLm:
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), CPU)


def test_pad_is_1_and_eos_2_though_the_tokenizer_names_neither(model: CausalLm) -> None:
    tokenizer = model.tokenizer
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (None, None, None)
    assert (model.prefix_token, model.pad_token, model.eos_token) == (0, 1, 2)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == [0, 1, 2, 3]


def test_nothing_is_put_before_a_text_and_marks_are_one_token_each(model: CausalLm) -> None:
    for text in ("the doctor said", *MARKS, "[START_REF] the tree[END_REF]"):
        (tokens,) = encode_texts(model.tokenizer, [text], prefix_token=model.prefix_token)
        assert tokens == model.tokenizer.encode(text, add_special_tokens=False)
        assert model.tokenizer.decode(tokens) == text
        assert len(tokens) == 1 or text not in MARKS
        assert not {0, 1, 2} & set(tokens)


def test_pairs_are_hflms_own(model: CausalLm, folder: Path) -> None:
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)  # HFLM writes to it
    tokenizer.add_special_tokens({"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>"})
    peer = HFLM(pretrained=model.head.lm, tokenizer=tokenizer, batch_size=1)
    assert peer.max_length == model.max_length == 2048
    assert peer.prefix_token_id == model.prefix_token
    expected = [
        peer._encode_pair(*pair)
        if pair[0]
        else ([peer.prefix_token_id], peer.tok_encode(pair[1], add_special_tokens=False))
        for pair in PAIRS
    ]
    found = encode_pairs(model.tokenizer, PAIRS, prefix_token=model.prefix_token)
    assert found == [(list(context), list(continuation)) for context, continuation in expected]
    assert len(tokenizer) == len(model.tokenizer)


def test_an_answer_that_is_learnt_ends_with_2_and_rows_are_filled_with_1(model: CausalLm, tmp_path: Path) -> None:
    from rayforget.foundations.causal_lm.scoring.likelihood import prepare_rows
    from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, Sequences
    from rayforget.tasks.text.resolve import resolve_text_tasks
    from rayforget.tasks.text.training import training_set
    from rayforget.tasks.text.types import Pairs

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"instruction": "a" * n, "output": "the dog"}) + "\n" for n in (1, 9, 30)))
    source = JsonLinesSource(kind="jsonl", path=path)
    tasks = resolve_text_tasks({"t": InstructionTask(kind="instruction", role="speciality", train=source)})
    learnt = training_set(
        tasks,
        model.tokenizer,
        Sequences(),
        max_length=64,
        eos=model.eos_token,
        prefix_token=model.prefix_token,
        cache=tmp_path / "cache",
    )
    sequences = [learnt.tokens[a:b].tolist() for a, b in pairwise(learnt.starts.tolist())]
    assert all(tokens[-1] == 2 and 0 not in tokens and 1 not in tokens for tokens in sequences)

    found = encode_pairs(model.tokenizer, PAIRS, prefix_token=model.prefix_token)
    flat = [[*context, *continuation] for context, continuation in found]
    pairs = Pairs(
        tokens=np.concatenate([np.array(each, dtype=np.int32) for each in flat]),
        starts=np.cumsum([0, *map(len, flat)]),
        continuations=np.array([len(context) for context, _ in found], dtype=np.int32),
    )
    (batch,) = prepare_rows(model, pairs, batch_tokens=10**4)
    rows = batch.tokens.tolist()
    assert any(1 in row for row in rows)
    assert all(set(row[row.index(1) :]) == {1} for row in rows if 1 in row)


CODE = """
from transformers import OPTConfig, OPTForCausalLM


class OwnConfig(OPTConfig):
    model_type = "own_opt"


class OwnForCausalLM(OPTForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def with_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose classes come with its folder."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = save_lm(tmp_path / "model", "opt")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_opt",
        "architectures": ["OwnForCausalLM"],
        "auto_map": {"AutoConfig": "own_opt.OwnConfig", "AutoModelForCausalLM": "own_opt.OwnForCausalLM"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own_opt.py").write_text(CODE + f"\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n")
    return folder


def test_code_that_comes_with_a_model_runs_only_where_the_space_says_so(with_code: Path, tmp_path: Path) -> None:
    with pytest.raises(FoundationError, match=r"code of its own: read it, then set foundation.trust_remote_code: true"):
        load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(with_code)), CPU)
    assert not (tmp_path / "ran").exists()
    spec = CausalLmFoundation(kind="causal_lm", model=str(with_code), trust_remote_code=True)
    assert type(load_causal_lm(spec, CPU).head.lm).__name__ == "OwnForCausalLM"
    assert (tmp_path / "ran").exists()
