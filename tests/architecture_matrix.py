"""One tiny model of an architecture through all that a sweep does with it, each answer compared with the model's own.

The reference is always transformers' forward of one text alone: it knows nothing of rows, pieces or adapters.
"""

import copy
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_architectures import tiny_model
from tiny_language import random_pairs
from tiny_lm import tokenizer
from torch import Tensor, nn

from rayforget.errors import FoundationError, RayforgetError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.learner import CausalLearner
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.prepared import PreparedCausalLm
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.foundations.protocol import State
from rayforget.interpolate.hashing import state_hash
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.tasks.text.types import TrainingSet
from rayforget.train.penalties.kd import Distillation
from rayforget.train.trainer import Trainer

COLUMNS = ("load", "score", "full", "lora", "kd", "merge", "reload")
PAIRS = random_pairs([(5, [3, 2, 4]), (1, [2]), (11, [1, 3])])
_TOLERANCE = 2e-3
"""Share of the largest value, which rounding in fp32 stays below in every architecture."""


class MismatchError(Exception):
    """Our answer is not the model's own."""


@dataclass(slots=True, kw_only=True)
class Row:
    architecture: str
    done: list[str] = field(default_factory=list)
    why: str = ""
    """Why the first column that is missing is missing."""
    targets: list[str] = field(default_factory=list)
    """`adapter.targets` that LoRA needs."""
    tried: bool = False
    """Whether transformers itself builds and runs the tiny model."""
    packed: bool = False
    own_head: bool = False


def row_of(architecture: str, folder: Path) -> Row:
    """What works with this architecture."""
    row = Row(architecture=architecture)
    try:
        own = tiny_model(architecture)
    except Exception as error:  # whatever an architecture raises
        row.why = f"not tried: {_short(error)}"
        return row
    row.tried = True
    try:
        tried = Tried(own, folder)
    except RayforgetError as error:
        row.why = _short(error, folder)
        return row
    row.packed, row.own_head = tried.model.keeps_apart, tried.model.head.own is not None
    row.done.append("load")
    steps: Sequence[tuple[str, Callable[[], None]]] = (
        ("score", tried.score),
        ("full", tried.full),
        ("lora", tried.lora),
        ("kd", tried.kd),
        ("merge", tried.merge),
        ("reload", tried.reload),
    )
    for name, step in steps:
        try:
            step()
        except Exception as error:  # whatever an architecture raises
            row.why = row.why or f"{name}: {_short(error, folder)}"
        else:
            row.done.append(name)
    row.targets = tried.targets
    return row


class Tried:
    """One loaded model, and what was trained of it."""

    def __init__(self, own: nn.Module, folder: Path) -> None:
        own.save_pretrained(folder / "theta_0")  # type: ignore[operator]
        tokenizer().save(str(folder / "theta_0" / "tokenizer.json"))
        named = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        (folder / "theta_0" / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **named})
        )
        self.folder = folder
        spec = CausalLmFoundation(kind="causal_lm", model=str(folder / "theta_0"))
        self.model: CausalLm = load_causal_lm(spec, torch.device("cpu"))
        self.theta_1: State | None = None
        self.targets: list[str] = []
        self.adapted: tuple[State, float] | None = None

    def score(self) -> None:
        _compare("log-likelihoods", self._scores({}), _own_scores(self.model.head.lm))

    def full(self) -> None:
        (_, first), _ = self._train(1, 2)
        (_, again), _ = self._train(2, 2)
        _require_equal(first, again, other=self.model.theta_0)
        self.theta_1 = first

    def lora(self) -> None:
        adapter = LoraAdapter(rank=2)
        try:
            (_, first), _ = self._train(1, 2, adapter=adapter)
        except FoundationError as error:
            advised = re.search(r"write adapter\.targets: \[(.+?)\]", str(error))
            if advised is None:
                raise
            self.targets = advised[1].split(", ")
            adapter = LoraAdapter(rank=2, targets=tuple(self.targets))
            (_, first), _ = self._train(1, 2, adapter=adapter)
        (_, again, _), losses = self._train(2, 3, adapter=adapter)
        _require_equal(first, again, other=self.model.theta_0)
        self.adapted = first, losses[2]

    def kd(self) -> None:
        """The loss of the second step, from both models' own logits."""
        kd = Distillation(kind="kd", strength=0.5)
        (after, _), (plain, found) = self._train(1, 2, penalties=(kd,))
        first, other = self._cross_entropy({})
        _compare("first loss", [plain], [first])
        loss, logits = self._cross_entropy(after)
        teacher = [F.log_softmax(each, -1) for each in other]
        divergence = sum(
            (p.exp() * (p - F.log_softmax(q, -1))).sum().item() for p, q in zip(teacher, logits, strict=True)
        )
        count = sum(len(each) for each in logits)
        _compare("distillation", [found], [loss + 0.5 * divergence / count])

    def merge(self) -> None:
        """The loss with adapters is that of the merged weights, by the model's own forward."""
        if self.adapted is None:
            raise MismatchError("nothing to merge")
        theta, loss = self.adapted
        _compare("merged loss", [loss], [self._cross_entropy(theta)[0]])

    def reload(self) -> None:
        """theta_1, saved by transformers and loaded by it, answers as it was scored."""
        from transformers import AutoModelForCausalLM

        if self.theta_1 is None:
            raise MismatchError("nothing to reload")
        self._with(self.theta_1).save_pretrained(self.folder / "theta_1")  # type: ignore[operator]
        loaded = AutoModelForCausalLM.from_pretrained(self.folder / "theta_1", dtype=torch.float32).eval()
        _compare("log-likelihoods", self._scores(self.theta_1), _own_scores(loaded))

    def _scores(self, theta: State) -> Any:
        batches = prepare_rows(self.model, PAIRS, batch_tokens=48)
        return log_likelihoods(self.model, theta, batches, num_pairs=len(PAIRS.continuations)).log_likelihoods

    def _learner(self) -> CausalLearner:
        prepared = PreparedCausalLm(self.model, lambda _: _SET, {}, splits={}, packing=True, batch_tokens=48)
        learner = prepared.learner(_recipe())
        assert isinstance(learner, CausalLearner)
        return learner

    def _train(self, seed: int, steps: int, **settings: Any) -> tuple[list[State], list[float]]:
        """The weights after each of so many steps over all sequences, and the losses before each."""
        torch.manual_seed(seed)
        trainer = Trainer(self._learner(), _recipe(**settings), seed=0)
        thetas, losses = [], []
        for _ in range(steps):
            trainer.take_step()
            thetas.append(trainer.theta_1())
            losses.append(trainer.facts()["loss"])
        return thetas, losses

    def _with(self, theta: State) -> nn.Module:
        lm = copy.deepcopy(self.model.head.lm)
        with torch.no_grad():
            own = {**dict(lm.named_parameters()), **dict(lm.named_buffers())}
            for name, tensor in theta.items():
                own[name].copy_(tensor)
        return lm

    @torch.no_grad()
    def _cross_entropy(self, theta: State) -> tuple[float, list[Tensor]]:
        """Mean over the targets of all sequences, each alone, and their logits."""
        lm, total, kept = self._with(theta), 0.0, []
        for number, first in enumerate(_SET.first_targets.tolist()):
            tokens = torch.from_numpy(_SET.tokens[_SET.starts[number] : _SET.starts[number + 1]].astype(np.int64))
            logits = lm(input_ids=tokens[None]).logits[0, first - 1 : -1].double()
            total += float(F.cross_entropy(logits, tokens[first:], reduction="sum"))
            kept.append(logits)
        return total / sum(len(each) for each in kept), kept


def _training_set() -> TrainingSet:
    rng = np.random.default_rng(0)
    lengths = np.array([7, 3, 5, 2])
    return TrainingSet(
        tokens=rng.integers(4, 500, size=lengths.sum()).astype(np.int32),
        starts=np.concatenate([[0], lengths.cumsum()]),
        first_targets=np.array([2, 1, 3, 1], dtype=np.int32),
        facts={},
        items_hash="0",
    )


_SET = _training_set()


def _recipe(**settings: Any) -> Recipe:
    fixed = {"learning_rate": 1e-3, "epochs": 4, "batch_size": 4, "seed": 0, "warmup_fraction": 0.0}
    return Recipe(method="m", **{**fixed, **settings})


@torch.no_grad()
def _own_scores(lm: nn.Module) -> list[float]:
    found = []
    for number, context in enumerate(PAIRS.continuations.tolist()):
        tokens = torch.from_numpy(PAIRS.tokens[PAIRS.starts[number] : PAIRS.starts[number + 1]]).long()
        log_p = lm(input_ids=tokens[None, :-1]).logits[0].double().log_softmax(-1)
        found.append(float(log_p.gather(1, tokens[1:, None])[context - 1 :].sum()))
    return found


def _compare(what: str, found: Any, expected: Any) -> None:
    difference = np.abs(np.asarray(found) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max()
    if not difference <= _TOLERANCE:
        raise MismatchError(f"{what}: not the model's own")


def _require_equal(first: State, again: State, *, other: State) -> None:
    """Two trainings with the same seed give the same weights, and not the first ones, whatever was drawn before."""
    if state_hash(first) != state_hash(again):
        raise MismatchError("two equal trainings differ")
    if state_hash(first) == state_hash(other):
        raise MismatchError("no weight has moved")


def line_of(row: Row) -> str:
    """The row of docs/architectures.md."""
    marks = [_mark(row, column) for column in COLUMNS]
    ways = [way for way, has in (("own rows", not row.packed), ("own head", row.own_head)) if has and row.done]
    targets = [f"LoRA with `targets: [{', '.join(row.targets)}]`"] if row.targets else []
    return " | ".join([f"| {row.architecture}", *marks, "; ".join([*ways, *targets, *filter(None, [row.why])]) + " |"])


def _mark(row: Row, column: str) -> str:
    if column in row.done:
        return "yes"
    return "no" if row.done or (row.tried and column == "load") else "–"


def _short(error: Exception, folder: Path | None = None) -> str:
    text = str(error) if folder is None else str(error).replace(str(folder / "theta_0"), "the model")
    text = re.sub(r"\s+", " ", text.replace("|", "/")).strip()
    with suppress(ValueError):
        text = text[: text.index(". ")]
    return f"{type(error).__name__}: {text}" if not isinstance(error, RayforgetError | MismatchError) else text
