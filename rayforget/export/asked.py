"""Opened tasks -> what a model's card says of them: class names, prompts, training sets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rayforget.frontier.points import THETA_0
from rayforget.record.sweep import Sweep
from rayforget.tasks.asked import Prompts, training_items
from rayforget.tasks.opening import Opened
from rayforget.values.records import DATA

PROMPTS = "prompts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """What was learnt from."""

    items: int
    """As many as this machine's data has."""
    hash: str | None
    """Of contents and labels in order, as recorded when the sweep was started; None in a record without it."""


def training_sets(sweep: Sweep, tasks: Opened) -> dict[str, TrainingSet]:
    """Each task with a training set -> what that is."""
    known = sweep.record(THETA_0, 0).facts.get(DATA, {})
    return {
        name: TrainingSet(items=items, hash=known.get(f"tasks.{name}.train"))
        for name, items in training_items(tasks).items()
    }


def prompts_file(prompts: Mapping[str, Prompts]) -> str:
    """Task -> `class_names` and `templates`, as JSON."""
    whole = {name: {"class_names": each.class_names, "templates": each.templates} for name, each in prompts.items()}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
