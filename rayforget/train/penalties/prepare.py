"""A recipe's penalties and a training about to begin -> their hooks, each of them what the trainer relies on.

A penalty may be another package's, so what it gives is checked where it is given: later, the trainer's own code would
fail on it, and nothing would say why.
"""

import difflib
import io
import json
import math
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from rayforget.errors import BrokenExtensionError
from rayforget.extensions.registry import arguments_fault
from rayforget.extensions.use import note_made
from rayforget.space.penalty import PENALTIES, Needs, PenaltyConfig, given_by
from rayforget.train.penalties.hooks import Hooks, Penalty, Training

if TYPE_CHECKING:
    from collections.abc import Sequence

_ACTING = ("before_forward", "pull", "before_clip", "after_step")
"""The hooks by which a penalty has an effect on the training."""
_CLOSE = 0.85
"""Names from this likeness on are taken as one misspelt: `after_steps`, not `pulling`."""


def needs_of(penalty: PenaltyConfig, *, lora: bool) -> Needs:
    """What a penalty needs.

    Raises:
        BrokenExtensionError: it gives something else.
    """
    return given_by(penalty, "needs", penalty.needs(lora=lora), Needs)


def prepare_hooks(penalties: "Sequence[PenaltyConfig]", training: Training) -> dict[str, Hooks]:
    """Hooks by kind, in the order of the penalties; a penalty sees theta_0's values only if it `needs` them.

    Raises:
        BrokenExtensionError: `prepare` gives no hooks, or hooks whose `pull` would never be called.
    """
    found = {}
    for penalty in penalties:
        needs = needs_of(penalty, lora=bool(training.factors))
        seen = training if needs.theta_0 or needs.teacher else replace(training, start=_Undeclared(penalty))
        hooks = given_by(penalty, "prepare", cast(Penalty, penalty).prepare(seen), Hooks)
        if (fault := arguments_fault(type(hooks), Hooks)) is not None:
            raise BrokenExtensionError(f"{PENALTIES.called(penalty.kind)} {fault}")
        for name, close in _nearly_hooks(hooks):
            if not _has_own(hooks, close):
                what = f"has hooks {type(hooks).__name__} with {name}, which is no hook"
                raise _broken(penalty, what, f"did you mean {close}? If not, give it another name")
        if type(hooks).pull is not Hooks.pull and not hooks.pulls:
            raise _broken(
                penalty,
                f"has hooks {type(hooks).__name__} with a `pull` that is never called",
                "write `pulls = True` in that class",
            )
        note_made(hooks, PENALTIES.group, penalty.kind)
        found[penalty.kind] = hooks
    return found


def idle_hooks(hooks_of: Mapping[str, Hooks]) -> list[str]:
    """A sentence on each penalty whose hooks, or one of whose methods that looks like a hook, have no effect."""
    return [*_doing_nothing(hooks_of), *_uncalled(hooks_of)]


def _doing_nothing(hooks_of: Mapping[str, Hooks]) -> list[str]:
    """On each penalty whose hooks neither add to the loss or the gradients nor move weights."""
    return [
        f"{PENALTIES.called(kind)} does nothing: its hooks {type(hooks).__name__} define none of "
        f"{', '.join(name for name in _ACTING)}"
        for kind, hooks in hooks_of.items()
        if not any(_has_own(hooks, name) for name in _ACTING)
    ]


def _uncalled(hooks_of: Mapping[str, Hooks]) -> list[str]:
    """On each method that is nearly called as a hook which its class has too, and that no method of the
    class mentions: rayforget calls only the hook. One that is mentioned is a part of it, under a name that fits."""
    found = []
    for kind, hooks in hooks_of.items():
        own = (member for each in type(hooks).__mro__ for member in vars(each).values())
        mentioned = {name for member in own if isinstance(member, FunctionType) for name in _mentions(member.__code__)}
        found += [
            f"{PENALTIES.called(kind)} has hooks {type(hooks).__name__} with {name} beside {close}: rayforget calls "
            f"{close} alone, and nothing in the class calls {name}; take one of them out, or give it another name"
            for name, close in _nearly_hooks(hooks)
            if _has_own(hooks, close) and name not in mentioned
        ]
    return found


def _mentions(code: CodeType) -> set[str]:
    """The names of attributes in a function and in those within it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_names, *(name for each in inner for name in _mentions(each))}


def _nearly_hooks(hooks: Hooks) -> Iterator[tuple[str, str]]:
    """Public methods of the hooks that are no hooks but are nearly called as one, and that one."""
    known = [name for name in vars(Hooks) if not name.startswith("_")]
    for name in dir(type(hooks)):
        if name.startswith("_") or name in known or not callable(getattr(type(hooks), name)):
            continue
        for close in difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE):
            yield name, close


def _has_own(hooks: Hooks, name: str) -> bool:
    return name in vars(hooks) or getattr(type(hooks), name) is not getattr(Hooks, name)


def pulled(kind: str, hooks: Hooks, logits: Tensor, piece: slice, watched: bool) -> Tensor:
    """What the hooks of this kind add to the loss of a piece of the targets, a scalar.

    Args:
        kind: the penalty's.
        hooks: its hooks.
        logits: the piece's, shape (n, num_classes), of which the cross-entropy is made afterwards.
        piece: the slice of the targets.
        watched: whether to compare the logits themselves, too: autograd does not see what is written to `.data`.

    Raises:
        BrokenExtensionError: they give anything else, or change the logits.
    """
    before = logits.detach().clone() if watched and kind not in PENALTIES.own else None
    version = logits._version
    found: object = hooks.pull(logits, piece)
    if logits._version != version or not (before is None or _same(logits.detach(), before)):
        raise BrokenExtensionError(
            f"{PENALTIES.called(kind)} changes the logits in place in pull, of which the loss is made; make new tensors"
        )
    if not isinstance(found, Tensor) or found.shape != ():
        shown = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise BrokenExtensionError(
            f"{PENALTIES.called(kind)} gave {shown} from pull; return a sum over the targets, a tensor of shape ()"
        )
    return found


def not_finite_pulls(hooks_of: Mapping[str, Hooks], parts: "Sequence[Tensor]") -> str:
    """The penalties whose part of a loss is not finite, where the loss without them is; empty if there are none.

    Args:
        hooks_of: hooks by kind.
        parts: the loss without penalties, then what each one that pulls added; empty if there is no loss yet.
    """
    if not parts:
        return ""
    of_data, *pulls = (math.isfinite(part) for part in parts)
    pulling = (kind for kind, hooks in hooks_of.items() if hooks.pulls)
    culprits = [PENALTIES.called(kind) for kind, sound in zip(pulling, pulls, strict=False) if not sound]
    return " and ".join(culprits) if of_data else ""


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def try_keeping(kind: str, hooks: Hooks) -> None:
    """Writes the hooks' facts and state as a record and a resume do, and gives the state back to them.

    Raises:
        BrokenExtensionError: the facts are no JSON, or the state holds more than tensors, numbers, texts and lists and
            dicts of them, which is all that a resume loads.
    """
    called = PENALTIES.called(kind)
    facts = hooks.facts()
    try:
        json.dumps(dict(facts), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BrokenExtensionError(f"{called} gave facts that are no JSON ({error}): {facts!r:.200}") from error
    state, written = hooks.state_dict(), io.BytesIO()
    try:
        torch.save(dict(state), written)
        written.seek(0)
        again = torch.load(written, map_location="cpu", weights_only=True)
    except (TypeError, ValueError, AttributeError, pickle.PickleError, RuntimeError) as error:
        named = re.search(r"GLOBAL (\S+)", f"{error}")
        reason = f"found {named.group(1)}" if named else " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise BrokenExtensionError(
            f"{called} gave a state_dict that a resume cannot load ({reason}); keep tensors, numbers, texts, and lists "
            "and dicts of them"
        ) from error
    hooks.load_state_dict(again)


class _Undeclared(Mapping[str, Tensor]):
    """theta_0's values for a penalty that did not ask for them: whoever looks is told to ask."""

    def __init__(self, penalty: PenaltyConfig) -> None:
        self._penalty = penalty

    def __getitem__(self, name: str) -> Tensor:
        raise self._told()

    def __iter__(self) -> Iterator[str]:
        raise self._told()

    def __len__(self) -> int:
        raise self._told()

    def __contains__(self, name: object) -> bool:
        raise self._told()

    def _told(self) -> BrokenExtensionError:
        return _broken(
            self._penalty,
            "reads training.start, theta_0's values, which its `needs` did not ask for",
            "return Needs(theta_0=True) from needs",
        )


def _broken(penalty: PenaltyConfig, found: str, advice: str) -> BrokenExtensionError:
    return BrokenExtensionError(f"{PENALTIES.called(penalty.kind)} {found}; {advice}")
