"""Trainings that are compiled in one process: each as if it were the first, and what was compiled once is not again."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from ranks import preload
from tiny_clip import save_clip
from tiny_lm import save_lm
from torch._dynamo.utils import counters
from train.learners import VectorLearner

from rayforget.foundations.causal_lm import boundaries
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.flat import flat_row
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.clip.model import load_clip
from rayforget.space.recipe import Recipe
from rayforget.train.compiled import compile_blocks, compiled
from rayforget.train.loop import train

pytestmark = pytest.mark.slow  # compiling takes seconds

CPU = torch.device("cpu")
RECIPES: tuple[dict[str, Any], ...] = (
    {"batch_size": 8},
    {"batch_size": 5},  # another size: dynamo would compile the second one as dynamic
    {"batch_size": 8, "penalties": [{"kind": "l2", "strength": 3.0}], "epochs": 1},
)


def final(changes: dict[str, Any]) -> dict[str, torch.Tensor]:
    base = {"method": "m", "learning_rate": 1e-2, "epochs": 2, "seed": 0, "compile": True}
    recipe = Recipe.model_validate({**base, **changes})
    return dict(list(train(VectorLearner(width=9), recipe, seed=3, fractions=(1.0,)))[-1].theta_1)


def train_alone(rank: int, folder: Path) -> None:
    """In a process that has compiled nothing before."""
    torch.set_num_threads(1)
    torch.save(final(RECIPES[rank + 1]), folder / f"{rank + 1}.pt")


def graphs() -> int:
    """Graphs that were compiled in this process."""
    return int(counters["stats"]["unique_graphs"])


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing compiled before, and nothing left."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_compiled_trainings_are_the_plain_ones_and_later_ones_of_a_process_have_the_bits_of_fresh_ones(
    tmp_path: Path, fresh: None
) -> None:
    torch.set_num_threads(1)
    here, made = [], []
    for changes in (*RECIPES, RECIPES[0]):
        before = graphs()
        here.append(final(changes))
        made.append(graphs() - before)
    assert made == [1, 1, 0, 0]  # one for each batch size
    assert all(torch.equal(tensor, here[-1][name]) for name, tensor in here[0].items())
    for changes, found in zip(RECIPES, here, strict=False):
        plain = final({**changes, "compile": False})
        assert all((tensor - plain[name]).abs().max() < 1e-3 for name, tensor in found.items())
    preload()
    torch.multiprocessing.start_processes(  # type: ignore[no-untyped-call]
        train_alone, args=(tmp_path,), nprocs=2, start_method="forkserver"
    )
    for number in (1, 2):
        alone = torch.load(tmp_path / f"{number}.pt")
        assert alone.keys() == here[number].keys()
        assert all(torch.equal(alone[name], here[number][name]) for name in alone)


def without_items(module: Any, query: Any, key: Any, value: Any, mask: Any = None, **asked: Any) -> Any:
    """As flash attention, and unlike the plain kernel, it does not read the boundaries' values on the CPU."""
    sequence = torch.bucketize(torch.arange(query.shape[2]), asked["cu_seq_lens_q"][1:], right=True)
    seen = (sequence[:, None] == sequence) & torch.ones(query.shape[2], query.shape[2]).tril().bool()
    attention = torch.nn.functional.scaled_dot_product_attention
    return attention(query, key, value, attn_mask=seen, enable_gqa=True).transpose(1, 2), None


def test_equal_blocks_share_a_graph_for_each_size_and_later_trainings_make_none(
    tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(boundaries._KERNELS, "varlen", without_items)
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "llama"))), CPU)
    made = []
    for lengths in ((60, 70), (60, 70), (60, 70, 90)):
        module = CausalHead(copy.deepcopy(model.head.lm)).train()
        module.longest = 40
        boundaries.use_boundaries(module.lm, "varlen")
        assert compile_blocks(module, sizes_repeat=True, backend="aot_eager")
        before = graphs()
        for length in lengths:
            rows = flat_row([torch.arange(4, 34).numpy()] * (length // 30), [1] * (length // 30), longest=40, filler=1)
            module(tokens=rows.tokens, positions=rows.positions, boundaries=rows.boundaries).sum().backward()
        made.append(graphs() - before)
    assert made == [1, 0, 1], "a graph for each length of rows: 64, 64 and 96"


def test_sizes_that_do_not_repeat_share_one_graph(tmp_path: Path, fresh: None) -> None:
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "opt"))), CPU)
    before = graphs()
    for _ in range(2):
        module = CausalHead(copy.deepcopy(model.head.lm)).train()
        compile_blocks(module, sizes_repeat=False, backend="aot_eager")
        for length in (9, 12, 17, 31):
            module(tokens=torch.arange(4, 4 + length)[None], positions=torch.arange(length)[None]).sum().backward()
    assert graphs() - before == 1


def test_both_towers_of_a_clip_are_compiled_and_answer_as_before(tmp_path: Path, fresh: None) -> None:
    model = load_clip(save_clip(tmp_path), CPU)
    images, tokens = torch.rand(3, 3, 24, 24), torch.randint(0, 999, (2, 20))
    expected = [model.clip.visual(images), model.text(tokens)]  # type: ignore[operator]
    before = graphs()
    for _ in range(2):
        clip = copy.deepcopy(model.clip)
        assert compile_blocks(clip, sizes_repeat=True, backend="aot_eager")
        found = [clip.visual(images), clip.encode_text(tokens, normalize=True)]  # type: ignore[operator]
    assert graphs() - before == 2
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)


def test_a_module_without_blocks_is_compiled_as_a_whole(fresh: None) -> None:
    before = graphs()
    for _ in range(2):
        module = VectorLearner().module
        assert not compile_blocks(module, sizes_repeat=True, backend="aot_eager")
        forward = compiled(module, sizes_repeat=True, backend="aot_eager")
        for size in (8, 5, 8):
            vectors = torch.randn(size, 5)
            assert torch.equal(forward(vectors), module(vectors))
    assert graphs() - before == 2
