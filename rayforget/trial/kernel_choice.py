"""A sweep and a card -> the kernels to train with: measured once, recorded, and obeyed by every slot, rank and resume.

The choice of one worker is the choice of all: `kernels/CARD.json` in the sweep's folder never changes.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import torch

from rayforget.distributed import on_rank_0
from rayforget.errors import RecordError
from rayforget.foundations.protocol import Foundation
from rayforget.frontier.points import THETA_0
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.sweep import Sweep

_log = logging.getLogger(__name__)
_KIND = "kernels"
_AS_BEFORE = {
    "kernel": None,
    "sizes_repeat": False,
    "reason": "trainings of this sweep were recorded before kernels were chosen, with dense masks",
}


def settle_kernels(
    foundation: Foundation,
    sweep: Sweep,
    card: Mapping[str, str] | None,
    device: torch.device,
    *,
    repeatable: bool,
) -> None:
    """Makes the foundation train with the sweep's kernels for this card; every rank calls it.

    Args:
        foundation: if it has no `choose_kernels` there is nothing to choose.
        sweep: where the choice is recorded.
        card: `card_of(device)`; None, on a CPU, chooses nothing.
        device: this rank's device.
        repeatable: whether kernels must give the same bits twice.

    Raises:
        RecordError: the recorded choice is damaged.
    """
    choose, use = (getattr(foundation, name, None) for name in ("choose_kernels", "use_kernels"))
    if card is None or choose is None or use is None:
        return

    def settle() -> dict[str, Any]:
        name = f"kernels/{_file_name(card['card'])}.json"
        if not sweep.store.exists(name):
            chosen = _AS_BEFORE if _is_older(sweep) else choose(repeatable=repeatable)
            try:
                sweep.store.write_once(name, seal(_KIND, {**card, "kernels": chosen}))
            except RecordError:
                if not sweep.store.exists(name):
                    raise
                # another slot was faster, and measured other times
        body = open_sealed(_KIND, sweep.store.read(name), f"{sweep.store}/{name}")
        _tell_of_others(body, card, name)
        return body

    use(on_rank_0(settle, device)["kernels"])


def _file_name(card: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", card).strip("-") or "card"


def _is_older(sweep: Sweep) -> bool:
    """Whether trainings were recorded before any choice: then no card of theirs, nor another, is given a choice."""
    names = [f"kernels/{name}" for name in sweep.store.json_files("kernels")]
    chosen = [open_sealed(_KIND, sweep.store.read(name), f"{sweep.store}/{name}")["kernels"] for name in names]
    if chosen:
        return _AS_BEFORE in chosen
    return any(trial != THETA_0 for trial in sweep.trials())


def _tell_of_others(body: Mapping[str, Any], card: Mapping[str, str], name: str) -> None:
    changed = [f"{key} {body.get(key)}, now {value}" for key, value in card.items() if body.get(key) != value]
    if changed:
        _log.warning("the kernels in %s were chosen with %s; they are used all the same", name, "; ".join(changed))
