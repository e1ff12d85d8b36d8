"""Sequences in one flat row with boundaries answer and learn as they do in rows with dense masks."""

import copy
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_lm import VOCABULARY, save_lm

from rayforget.foundations.causal_lm.boundaries import boundary_arguments, use_boundaries
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.flat import flat_row, padded_share
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.kernels import choose_kernel
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.causal_lm.rows import Rows, eighth_up, training_rows

LENGTHS = [5, 1, 12, 2, 7]


def sequences_of(lengths: list[int], seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 300, length).astype(np.int32) for length in lengths]


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16, 17, 63, 64, 65, 127, 128, 129, 1000, 1024, 1025, 40_001])
def test_sizes_are_eighths_of_octaves_and_at_most_an_eighth_too_long(count: int) -> None:
    size = eighth_up(count)
    octave = 2 ** int(np.log2(size))
    assert (size - octave) % (octave / 8) == 0 or size < 8
    assert count <= size < count * 1.125
    assert eighth_up(size) == size


@pytest.mark.parametrize("lengths", [[1], [64], [65], LENGTHS, [30] * 9, [3] * 40])
def test_a_flat_row_holds_every_sequence_within_boundaries_of_its_own(lengths: list[int]) -> None:
    sequences = sequences_of(lengths)
    firsts = [1 if length > 1 else 0 for length in lengths]
    row = flat_row(sequences, [max(first, 1) for first in firsts], longest=max(lengths), filler=1)
    assert row.boundaries is not None
    edges = row.boundaries.tolist()
    spans = [(start, end) for start, end in pairwise(edges) if start < end]
    assert (spans[0][0], spans[-1][1]) == (0, row.tokens.shape[1])  # no token lies outside
    assert max(end - start for start, end in spans) <= max(lengths)
    for (start, end), sequence in zip(spans, sequences, strict=False):
        assert row.tokens[0, start:end].tolist() == sequence.tolist()
    assert all(row.positions[0, start:end].tolist() == list(range(end - start)) for start, end in spans)
    assert row.tokens[0, row.sources + 1].tolist() == row.targets.tolist()
    assert row.targets.tolist() == [token for sequence in sequences for token in sequence[1:].tolist()]


def test_rows_of_one_length_have_one_number_of_boundaries() -> None:
    sizes: dict[int, set[int]] = {}
    for total in range(40, 700):
        lengths = [total - 7 * 5, 5, 5, 5, 5, 5, 5, 5]
        row = flat_row(sequences_of(lengths), [1] * 8, longest=40, filler=0)
        assert row.boundaries is not None
        sizes.setdefault(row.tokens.shape[1], set()).add(len(row.boundaries))
    assert {len(found) for found in sizes.values()} == {1}
    assert len(sizes) <= 8 * 4


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "opt": ("OPTConfig", {"ffn_dim": 48, "word_embed_proj_dim": 32}),  # scales queries itself, and asks for 1.0
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "llama": ("LlamaConfig", {"num_key_value_heads": 2}),  # two queries' heads share a key's
    "mistral": ("MistralConfig", {"num_key_value_heads": 2, "sliding_window": 4}),  # shorter than the sequences
    "gemma2": (
        "Gemma2Config",
        {
            "num_key_value_heads": 2,
            "head_dim": 8,
            "sliding_window": 4,
            "attn_logit_softcapping": 0.5,
            "query_pre_attn_scalar": 20,
        },
    ),
    "gpt_neox": ("GPTNeoXConfig", {}),
}


def head_of(name: str) -> CausalHead:
    import transformers

    config, settings = MODELS[name]
    common = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    if name == "gpt2":
        common = {}
    made = getattr(transformers, config)(
        vocab_size=VOCABULARY, max_position_embeddings=64, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        **common, **settings,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(made)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.1)
    return CausalHead(model.eval())


def gradients_of(features: torch.Tensor, head: CausalHead) -> dict[str, torch.Tensor]:
    names, weights = zip(*head.lm.named_parameters(), strict=True)
    found = torch.autograd.grad(features.square().sum(), weights, allow_unused=True)
    return {name: each for name, each in zip(names, found, strict=True) if each is not None}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_features_and_gradients_are_those_of_each_sequence_alone(name: str, checkpointing: bool) -> None:
    head, sequences = head_of(name), sequences_of(LENGTHS)
    flat = copy.deepcopy(head)
    flat.longest = max(LENGTHS)
    use_boundaries(flat.lm, "plain")
    if checkpointing:
        flat.lm.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        flat.train()
        for part in flat.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        if name in ("gpt2", "opt"):
            from rayforget.foundations.randomness import still

            still(flat.lm)
    row = flat_row(sequences, [1] * len(sequences), longest=flat.longest, filler=1)
    found = flat(tokens=row.tokens, positions=row.positions, boundaries=row.boundaries)[: sum(LENGTHS)]
    alone = torch.cat([head(tokens=torch.from_numpy(each.astype(np.int64))[None]) for each in sequences])
    torch.testing.assert_close(found, alone, atol=2e-5, rtol=2e-5)
    expected = gradients_of(alone, head)
    for weight, gradient in gradients_of(found, flat).items():
        torch.testing.assert_close(gradient, expected[weight], atol=3e-4, rtol=3e-4)


def test_rows_with_dense_masks_give_the_same_targets_and_features() -> None:
    head, sequences = head_of("opt"), sequences_of(LENGTHS[:1] + LENGTHS[2:])
    firsts = [2, 3, 1, 6]
    flat = copy.deepcopy(head)
    flat.longest = 12
    use_boundaries(flat.lm, "plain")
    row = flat_row(sequences, firsts, longest=12, filler=1)
    dense = training_rows(sequences, firsts, packing=True, filler=1)
    assert row.targets.tolist() == dense.targets.tolist()
    with torch.no_grad():
        found = flat(tokens=row.tokens, positions=row.positions, boundaries=row.boundaries, sources=row.sources)
        masked = head(tokens=dense.tokens, positions=dense.positions, mask=dense.mask, sources=dense.sources)
    torch.testing.assert_close(found, masked, atol=2e-5, rtol=2e-5)


def test_a_kernel_is_chosen_by_agreement_and_time_and_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = load_causal_lm(
        CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "llama"))), torch.device("cpu")
    )
    before = model.head.lm.config._attn_implementation
    trained = [weight.requires_grad for weight in model.head.lm.parameters()]
    settings: Any = {"longest": 32, "dtype": torch.float32, "repeatable": True}
    chosen, measured = choose_kernel(model.head, kernels=("plain", "varlen"), **settings)
    assert chosen in (None, "plain")
    assert min(measured[name]["seconds"] for name in ("dense", "plain")) > 0
    assert measured["varlen"]["seconds"] is None  # no flash attention on a CPU
    assert model.head.lm.config._attn_implementation == before
    assert [weight.requires_grad for weight in model.head.lm.parameters()] == trained
    json.dumps(measured)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_kernel_that_answers_otherwise_is_not_chosen(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    from rayforget.foundations.causal_lm import boundaries

    right = boundaries._KERNELS["plain"]

    def wrong(*given: Any, **asked: Any) -> Any:  # sees across the boundaries
        edges = asked["cu_seq_lens_q"]
        return right(*given, **{**asked, "cu_seq_lens_q": edges[[0, -1]]})

    settings: Any = {"longest": 24, "dtype": dtype, "repeatable": False, "kernels": ("plain",)}
    assert choose_kernel(head_of("opt"), **settings)[1]["plain"]["reason"] is None
    monkeypatch.setitem(boundaries._KERNELS, "plain", wrong)
    chosen, measured = choose_kernel(head_of("opt"), **settings)
    assert chosen is None
    assert "features differ" in measured["plain"]["reason"]


def test_kernels_are_measured_on_a_vocabulary_of_any_size() -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig

    few = LlamaConfig(
        vocab_size=7, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, bos_token_id=0, pad_token_id=1, eos_token_id=2,
    )  # fmt: skip
    head = CausalHead(AutoModelForCausalLM.from_config(few).eval())  # type: ignore[no-untyped-call]
    settings: Any = {"longest": 16, "dtype": torch.float32, "repeatable": False, "kernels": ("plain",)}
    assert [found["reason"] for found in choose_kernel(head, **settings)[1].values()] == [None, None]


def test_layers_that_hand_no_boundaries_on_are_refused() -> None:
    head = head_of("opt")
    use_boundaries(head.lm, "plain")
    with pytest.raises(ValueError, match="hand boundaries on"):
        head(tokens=torch.arange(6)[None])
    assert set(boundary_arguments(torch.tensor([0, 6]), 6)) == {
        "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k"
    }  # fmt: skip


def flat_of(lengths: list[int], longest: int) -> Rows:
    return flat_row([np.zeros(n, np.int32) for n in lengths], [1] * len(lengths), longest=longest, filler=0)


REAL = Path(os.environ.get("RAYFORGET_SHARED", "/nonexistent"), "data/text/medical_instructions/train.jsonl")


@pytest.mark.skipif(not REAL.exists(), reason="RAYFORGET_SHARED names no folder with the data")
def test_an_epoch_of_real_lengths_has_few_shapes_and_little_padding() -> None:
    """Lengths in words, at four batch sizes; today's rows have a shape for nearly every batch."""
    rows = [json.loads(line) for line in REAL.read_text().splitlines()]
    lengths = np.clip([len(f"{row['instruction']} {row['input']} {row['output']}".split()) for row in rows], 2, 1024)
    shares = []
    for batch_size in (8, 16, 32, 64):
        order = np.random.default_rng(0).permutation(lengths)
        starts = range(0, len(order) - batch_size, batch_size)
        batches = [order[start : start + batch_size].tolist() for start in starts]
        longest = int(lengths.max())
        flat = [flat_of(batch, longest) for batch in batches]
        shapes = {(row.tokens.shape[1], len(row.boundaries)) for row in flat if row.boundaries is not None}
        assert len(shapes) <= 8 * np.log2(max(map(sum, batches)) / min(map(sum, batches)) + 1) + 2
        shares.append(1 - sum(map(sum, batches)) / sum(row.tokens.shape[1] for row in flat))
        assert shares[-1] <= 0.10
        assert padded_share(lengths, batch_size) == pytest.approx(shares[-1], abs=0.01)
    assert np.mean(shares) <= 0.08


def by_sequence(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, edges: torch.Tensor, window: tuple[int, int], scale: float | None
) -> torch.Tensor:
    """What torch documents of `varlen_attn`, by its other attention."""
    found = []
    for start, end in pairwise(edges.tolist()):
        n = end - start
        distance = torch.arange(n)[:, None] - torch.arange(n)
        mask = (distance >= -window[1]) & ((window[0] < 0) | (distance <= window[0]))
        parts = [x[None, start:end].transpose(1, 2) for x in (q, k, v)]
        attend = torch.nn.functional.scaled_dot_product_attention
        found.append(attend(*parts, attn_mask=mask, scale=scale, enable_gqa=True)[0].transpose(0, 1))
    return torch.cat(found)


@pytest.mark.parametrize("knows_gqa", [True, False])  # torch 2.11 does not
@pytest.mark.parametrize("asked", [{}, {"scaling": 1.0}, {"scaling": 0.2, "sliding_window": 3}])
def test_flash_attention_is_asked_for_what_the_plain_equation_computes(
    monkeypatch: pytest.MonkeyPatch, knows_gqa: bool, asked: dict[str, Any]
) -> None:
    """Torch's function runs on GPUs alone: what stands in for it computes what torch documents."""
    from rayforget.foundations.causal_lm import boundaries

    def new(q, k, v, a, b, m, n, *, scale=None, window_size=(-1, -1), enable_gqa=False):  # type: ignore[no-untyped-def]
        assert enable_gqa == (q.shape[1] != k.shape[1])
        return old(q, k, v, a, b, m, n, scale=scale, window_size=window_size)

    def old(q, k, v, a, b, m, n, *, scale=None, window_size=(-1, -1)):  # type: ignore[no-untyped-def]
        assert torch.backends.cuda.flash_sdp_enabled()
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert (a is b, m == n == 9, q.dtype) == (True, True, torch.bfloat16)
        assert knows_gqa or q.shape[1] == k.shape[1]
        return by_sequence(q, k, v, a, window_size, scale)

    monkeypatch.setattr(boundaries, "varlen_attn", new if knows_gqa else old)
    monkeypatch.setattr(boundaries, "_SHARES_KEYS", knows_gqa)
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, heads, 16, 8) for heads in (4, 2, 2))
    edges = torch.tensor([0, 9, 11, 16, 16, 16], dtype=torch.int32)
    module = torch.nn.Identity()
    with torch.autocast("cpu", torch.bfloat16):  # q and k come in fp32 from rotations
        given = {**boundary_arguments(edges, 9), **asked}
        found, _ = boundaries._KERNELS["varlen"](module, q, k, v.bfloat16(), None, **given)
        expected, _ = boundaries._KERNELS["plain"](module, q, k, v.bfloat16(), None, **given)
    assert found.shape == (1, 16, 4, 8)
    torch.testing.assert_close(found.float(), expected.float(), atol=0.03, rtol=0.03)


def test_rows_with_dense_masks_can_have_few_sizes_too_and_mean_the_same() -> None:
    head = head_of("llama")
    rng = np.random.default_rng(1)
    sizes, before = set(), set()
    for number in range(40):
        sequences = sequences_of(rng.integers(2, 31, 12).tolist(), seed=number)
        rows, plain = (
            training_rows(sequences, [1] * 12, packing=True, filler=1, repeat_up_to=up_to) for up_to in (31, None)
        )
        sizes.add(tuple(rows.tokens.shape))
        before.add(tuple(plain.tokens.shape))
        assert rows.tokens.shape[1] == 31  # the longest sequence ever
        assert rows.targets.tolist() == plain.targets.tolist()
        if number < 3:
            with torch.no_grad():
                found, expected = (
                    head(tokens=each.tokens, positions=each.positions, mask=each.mask, sources=each.sources)
                    for each in (rows, plain)
                )
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    assert len(sizes) <= 6 < len(before)
    alone = training_rows(sequences, [1] * 12, packing=False, filler=1, repeat_up_to=40)
    assert alone.mask is None
    assert alone.tokens.shape == (12, eighth_up(max(map(len, sequences))))


def test_layers_with_flash_attention_compile_into_one_graph_without_a_break() -> None:
    """The graph is made, not run: torch's flash attention for varying lengths runs on GPUs alone."""
    from rayforget.foundations.causal_lm import boundaries

    graphs: list[list[str]] = []

    def note(graph: Any, examples: Any) -> Any:
        graphs.append([f"{node.target}" for node in graph.graph.nodes if node.op == "call_function"])
        return lambda *given: [torch.zeros(1, 8, 2, 16)]

    def attend(query: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        asked = {**boundary_arguments(edges, 5), "scaling": 1.0}
        found: torch.Tensor = boundaries._KERNELS["varlen"](torch.nn.Identity(), query, query, query, **asked)[0]
        return found

    torch.compiler.reset()
    compiled = torch.compile(attend, fullgraph=True, backend=note)
    compiled(torch.zeros(1, 2, 8, 16, dtype=torch.bfloat16), torch.tensor([0, 3, 8], dtype=torch.int32))
    torch.compiler.reset()
    (nodes,) = graphs
    assert any("varlen" in node for node in nodes), nodes
