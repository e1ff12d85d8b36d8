"""One model and a space's tasks -> its score on each of them, with S and G."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rayforget.foundations.kind import kind_of
from rayforget.frontier.points import TaskRole, generality, speciality, task_roles
from rayforget.planning.cache_check import check_cache
from rayforget.planning.foundation_check import check_foundation, check_gpus
from rayforget.record.cache_folder import cache_folder
from rayforget.record.retention import standard_errors
from rayforget.report.terminal.live import open_console
from rayforget.report.terminal.log import log_to
from rayforget.report.words.numbers import format_measure
from rayforget.space.file.load import LoadedSpace
from rayforget.space.foundation import place_of
from rayforget.space.precision import planned
from rayforget.tasks.check import check_data
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.values.scores import Score, Split

Scored = Mapping[Split, Mapping[str, Score]]
"""Split -> task -> score."""


def evaluate_model(loaded: LoadedSpace, splits: Sequence[Split], *, as_json: bool, verbose: bool) -> None:
    """Scores the space's foundation and prints it; records nothing, and keeps only decoded data in the cache.

    Raises:
        SpaceError: the model or the data is not there.
        FoundationError: the model cannot be loaded.
        TrainingError: its answers are not finite.
    """
    check_foundation(loaded)
    check_cache(loaded)
    check_gpus(loaded.space.resources, f"{loaded.where('resources.gpus_per_worker')}: ")
    console = open_console()
    log_to(console, verbose=verbose)
    roles = task_roles(loaded.space)
    model_hash, scored = _score(loaded, splits)
    if as_json:
        found = {split: _as_json(scores, roles) for split, scores in scored.items()}
        print(json.dumps({"model": place_of(loaded.space.foundation), "hash": model_hash, **found}, indent=2))
        return
    console.print(Text.assemble((place_of(loaded.space.foundation), "bold"), f"   weights {model_hash}"))
    console.print(_table(scored, roles))


def _score(loaded: LoadedSpace, splits: Sequence[Split]) -> tuple[str, Scored]:
    from rayforget.determinism import deterministic
    from rayforget.evaluate.finite import require_finite
    from rayforget.foundations.sharing import keep_own
    from rayforget.trial.equipment import device_of
    from rayforget.trial.precise import in_precision

    space = loaded.space
    device, kind = device_of(space.resources, 0), kind_of(space.foundation)
    model = kind.load(space.foundation, device, keep_own)  # a model that does not fit is refused before data is read
    cache = cache_folder(space)
    tasks = check_data(loaded, cache=cache, hashes=HashStore.in_cache(cache))
    foundation = kind.with_tasks(model, space.foundation, tasks, cache=cache_folder(space), resources=space.resources)
    precisions = {"val": planned(space.resources.evaluation_precision), "test": space.resources.test_precision}
    scored: dict[Split, Mapping[str, Score]] = {}
    with deterministic(space.resources.deterministic):
        for split in splits:
            scorer = in_precision(foundation.scorer(None), precisions[split], device)
            (found,) = scorer.score([{}], split)
            scored[split] = require_finite(found, split, model="the model", advice="are its weights intact?")
    return foundation.theta_0_hash, scored


def _as_json(scores: Mapping[str, Score], roles: Sequence[TaskRole]) -> dict[str, Any]:
    pair, errors = _objectives(scores, roles), standard_errors(scores, roles)
    tasks = {
        role.name: {
            "role": role.role,
            "group": role.group or None,
            "metric": role.metric,
            "score": scores[role.name].value,
            "error": _error(scores[role.name]),
            "items": len(scores[role.name].items),
        }
        for role in roles
    }
    return {
        "speciality": pair[0],
        "speciality_error": errors[0],
        "generality": pair[1],
        "generality_error": errors[1],
        "tasks": tasks,
    }


def _table(scored: Scored, roles: Sequence[TaskRole]) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for head in ("task", "role", "group", "metric"):
        table.add_column(head, no_wrap=True)
    for split in scored:
        table.add_column(f"{split}, %", justify="right", no_wrap=True)
        table.add_column("items", justify="right", style="dim")
    for role in roles:
        cells = [role.name, role.role, role.group, role.metric]
        for scores in scored.values():
            score = scores[role.name]
            cells += [format_measure(score.value, _error(score)), str(len(score.items))]
        table.add_row(*map(Text, cells))
    table.add_section()
    for place, name in enumerate(("speciality", "generality")):
        cells = [name, "", "", ""]
        for scores in scored.values():
            pair, errors = _objectives(scores, roles), standard_errors(scores, roles)
            cells += [format_measure(pair[place], errors[place]), ""]
        table.add_row(*map(Text, cells), style="bold")
    return table


def _objectives(scores: Mapping[str, Score], roles: Sequence[TaskRole]) -> tuple[float, float]:
    values = {task: score.value for task, score in scores.items()}
    return speciality(values, roles), generality(values, roles)


def _error(score: Score) -> float:
    """One standard error over items."""
    return math.sqrt(float(score.scored.variances()[0]))
