"""ifeval, whose answers may have 1280 tokens, with the settings of search_spaces/galactica_medical.yaml."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from lm_eval_data import write
from tiny_lm import save_lm

from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.scoring.generation import generate
from rayforget.space.file.load import load_space
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.tasks.text.types import PairResults, TaskRequests

SPACE = Path(__file__).parents[3] / "search_spaces" / "galactica_medical.yaml"
CPU = torch.device("cpu")
ANSWER = 1280


@pytest.fixture(autouse=True)
def _nltk_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instructions tried here need none of nltk's resources."""
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "find", lambda place: place)


@pytest.fixture
def space_of(tmp_path: Path):
    """The space itself over a local file with ifeval's schema and a random model with Galactica's 2048 positions."""

    def load(count: int = 6, first: int = 0):
        model = save_lm(tmp_path / "model", "opt", galactica=True, positions=2048)
        file = write(tmp_path, "ifeval", count, first=first)
        overrides = [f"vars.model={model}", f"tasks.ifeval.data_files={{train: {file}}}"]
        return load_space(SPACE, overrides).space

    return load


def loaded(space) -> tuple[CausalLm, ResolvedText]:
    assert isinstance(space.foundation, CausalLmFoundation)
    return load_causal_lm(space.foundation, CPU), resolve_text_tasks({"ifeval": space.tasks["ifeval"]})["ifeval"]


def requests_of(model: CausalLm, task: ResolvedText, cache: Path, max_length: int) -> TaskRequests:
    return task_requests(
        task, "val", model.tokenizer, max_length=max_length, prefix_token=model.prefix_token, cache=cache
    )


def test_the_spaces_own_lengths_leave_room_for_the_answer(space_of, tmp_path: Path) -> None:
    model, task = loaded(space_of(count=4, first=200))  # "Please do so. " hundreds of times
    assert (model.train_length, model.max_length) == (1024, 2048)
    found = requests_of(model, task, tmp_path / "cache", model.max_length)
    assert set(found.generations.max_new_tokens) == {ANSWER}
    contexts = [document.values["prompt"] for document in task.splits["val"].documents]
    whole = [model.tokenizer.encode(context, add_special_tokens=False) for context in contexts]
    assert all(len(tokens) > 2048 - ANSWER for tokens in whole)
    asked = [prompt.tolist() for prompt in found.generations.prompts]
    assert asked == [tokens[-(2048 - ANSWER) :] for tokens in whole]
    assert found.facts == {"cut_items": len(contexts)}


def test_prompts_that_fit_are_not_counted_as_cut(space_of, tmp_path: Path) -> None:
    model, task = loaded(space_of())
    found = requests_of(model, task, tmp_path / "cache", model.max_length)
    assert found.facts == {"cut_items": 0}
    assert all(len(prompt) < 2048 - ANSWER for prompt in found.generations.prompts)


def test_too_few_positions_name_what_to_raise(space_of, tmp_path: Path) -> None:
    model, task = loaded(space_of())
    with pytest.raises(TaskError, match=r"answers of 1280 tokens, .* have 1280; raise foundation.sequences.scored_l"):
        requests_of(model, task, tmp_path / "cache", ANSWER)


@pytest.mark.parametrize("seed", [0, 1])
def test_ifeval_is_scored_as_by_lm_eval_on_the_same_model(space_of, tmp_path: Path, seed: int) -> None:
    from datasets import Dataset
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    from rayforget.tasks.text.lm_eval_index import task_config
    from rayforget.tasks.text.lm_eval_made import task_over

    model, task = loaded(space_of(count=8, first=10 * seed))
    documents = [dict(each.values) for each in task.splits["val"].documents]
    settings = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 6}  # 1280 take minutes
    config = {**task_config("ifeval"), "generation_kwargs": settings}
    peer = task_over(config, {"train": Dataset.from_list(documents)})
    named = copy.deepcopy(model.tokenizer)  # HFLM needs the names that Galactica's tokenizer lacks
    named.add_special_tokens({"eos_token": "</s>", "pad_token": "<pad>"})
    lm = HFLM(pretrained=model.head.lm, tokenizer=named, batch_size=1, max_length=2048)
    samples = sorted(evaluate(lm, {"ifeval": peer}, bootstrap_iters=0)["samples"]["ifeval"], key=lambda s: s["doc_id"])

    found = requests_of(model, task, tmp_path / "cache", model.max_length)
    short = type(found.generations)(
        prompts=found.generations.prompts,
        until=found.generations.until,
        max_new_tokens=[6] * len(documents),
    )
    answers = generate(model, {}, short, batch_tokens=4096)
    assert list(answers.texts) == [sample["resps"][0][0] for sample in samples]
    items, weights = found.judge(
        PairResults(log_likelihoods=np.zeros(0), greedy=np.zeros(0, dtype=bool)), answers.texts
    )
    assert weights is None
    assert items.tolist() == [bool(sample["prompt_level_strict_acc"]) for sample in samples]
