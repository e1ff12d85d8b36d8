"""Recipes, scores and paths -> the names under which MLflow shows them."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rayforget.printable import printable
from rayforget.space.path_text import LERP, parse_path

MAX_TEXT = 5000
"""MLflow cuts longer parameters and tags."""
SWEEP_TAG, CREATED_TAG = "rayforget.sweep", "rayforget.created"
"""The tags of all runs of a sweep, and of no others."""
_REFUSED = re.compile(r"[^\w./ -]", re.ASCII)


def flatten_recipe(recipe: Mapping[str, Any]) -> dict[str, str]:
    """A resolved recipe as MLflow parameters.

    Nested names are joined by dots; a list of objects with a kind is keyed by it (`penalties.l2.strength`), so that a
    parameter has the same name in every run; other lists are joined by commas.
    """
    return dict(sorted(_flatten("", recipe)))


def safe_name(name: str) -> str:
    """A metric's name with the characters that MLflow refuses (`=`, `@`, `|`, ...) replaced; names stay distinct."""
    clean = _REFUSED.sub("_", name)
    return clean if clean == name else f"{clean}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def model_name(text: str) -> str:
    """A point's text as the name of a logged model, which takes no slash, colon, dot, percent sign or quote."""
    return re.sub(r"[/:.%\"']", "_", text)


def sweep_tags(identity: str, created: float) -> dict[str, str]:
    """The tags that all runs of a sweep have and no others (`SweepView.identity`, `created`)."""
    return {SWEEP_TAG: identity, CREATED_TAG: str(round(created))}


def sweep_filter(identity: str, created: float) -> str:
    """MLflow's filter for what has these tags."""
    return " and ".join(f"tags.`{name}` = '{value}'" for name, value in sweep_tags(identity, created).items())


def stage_name(stage: str, path: str) -> str:
    """`val`, or for a path other than the lerp `val_lines_gamma_0.5_-1a2b`."""
    return stage if path == LERP else f"{stage}_{safe_name(path)}"


def path_params(path: str) -> dict[str, str]:
    """The path's name as `path`, and its parameters as `path.gamma` and so on."""
    name, parameters = parse_path(path)
    return {"path": name, **flatten_recipe({"path": parameters})}


def short(text: str) -> str:
    """Foreign text as MLflow may keep it whole."""
    return printable(text)[:MAX_TEXT]


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else name, item)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            kind = item.get("kind", index)
            yield from _flatten(f"{prefix}.{kind}", {name: part for name, part in item.items() if name != "kind"})
    elif isinstance(value, list | tuple):
        yield prefix, short(",".join(map(str, value)))
    else:
        yield prefix, short(value if isinstance(value, str) else json.dumps(value))
