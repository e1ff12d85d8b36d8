"""Facts of a model -> the tables of its card, in Markdown."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rayforget.export.asked import PROMPTS, TrainingSet
from rayforget.export.facts import CardFacts, Scores
from rayforget.export.measured import MeasuredAgain, differences
from rayforget.export.one_recipe import without_defaults
from rayforget.frontier.summary import Measure
from rayforget.printable import one_line
from rayforget.report.words.numbers import format_measure
from rayforget.report.words.plain import baseline_label
from rayforget.space.paths import LOCAL_FOLDER
from rayforget.tasks.asked import Prompts
from rayforget.values.scores import Score, Split

_NUM_NAMES, _NUM_TEMPLATES = 20, 5
"""As many are on the card; the file has all."""
_SPLITS: tuple[Split, Split] = ("val", "test")
_MEANT = re.compile(r"[\\`*\[\]<>&]|(?<!\w)_|_(?!\w)")
"""What Markdown, or HTML in it, takes for more than itself; an underscore inside a name is none."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table whose first `left` columns are texts and whose others are numbers."""
    rules = ["---" if place < left else "--:" for place in range(len(heads))]
    lines = [heads, rules, *rows]
    return "\n".join(f"| {' | '.join(cell(each) for each in line)} |" for line in lines)


def cell(text: str) -> str:
    """A text that cannot end its cell, or its table."""
    return one_line(text).replace("|", "\\|")


def prose(text: Any) -> str:
    """Foreign text within a sentence: it stays in its line, and none of it is Markdown or HTML."""
    return _MEANT.sub(r"\\\g<0>", one_line(str(text)))


def code(text: Any) -> str:
    """Foreign text as code, which it cannot end."""
    return f"`{one_line(str(text)).replace('`', chr(39))}`"


def models_table(facts: CardFacts) -> str:
    """Speciality and generality of theta_0, plain fine-tuning and the model."""
    summary = facts.summary
    rows = [("θ0, pretrained", {"val": summary.theta_0.val, "test": summary.theta_0.test})]
    if summary.plain is not None:
        rows.append((baseline_label(summary), {"val": summary.plain.val, "test": summary.plain.test}))
    rows.append(("**this model**", {split: facts.measures.get(split) for split in _SPLITS}))
    if facts.again is not None:
        rows.append(
            (f"this model's folder, in {facts.dtype}", {split: facts.measures_again.get(split) for split in _SPLITS})
        )
    heads = ("model", *(f"{axis}, {split}" for split in _SPLITS for axis in ("speciality", "generality")))
    cells = ((name, *(text for split in _SPLITS for text in _axes(found[split]))) for name, found in rows)
    return table(heads, cells)


def _axes(measured: Measure | None) -> tuple[str, str]:
    if measured is None:
        return "—", "—"
    return (
        format_measure(measured.speciality, measured.speciality_error),
        format_measure(measured.generality, measured.generality_error),
    )


def tasks_table(facts: CardFacts) -> str:
    """Every task's score, beside theta_0's, and in the folder's own type if that is another."""
    heads = ["task", "counts as", "metric", "θ0, val", "val", "θ0, test", "test"]
    found: list[tuple[Scores | None, Scores | None]] = [
        (facts.theta_0.get(split), own) for split, own in zip(_SPLITS, (facts.point.val, facts.point.test), strict=True)
    ]
    if facts.again is not None:
        heads += [f"val, {facts.dtype}", f"test, {facts.dtype}"]
    rows = []
    for role in facts.summary.roles:
        counts = role.role if role.role == "speciality" else f"generality, group {prose(role.group)}"
        row = [code(role.name), counts, prose(role.metric)]
        row += [_score(scores, role.name) for pair in found for scores in pair]
        if facts.again is not None:
            row += [_score(facts.again.val, role.name), _score(facts.again.test, role.name)]
        rows.append(row)
    return table(heads, rows, left=3)


def _score(scores: Scores | None, task: str) -> str:
    if scores is None or task not in scores:
        return "—"
    return format_measure(scores[task].value, standard_error(scores[task]))


def standard_error(score: Score) -> float:
    """The standard error of one score over its items."""
    return math.sqrt(score.scored.variances()[0])


def differing_table(again: MeasuredAgain, facts: CardFacts) -> str:
    """How many items another form of the model answers in another way."""
    recorded = facts.point.by_split
    rows = []
    for split, scores in again.by_split.items():
        rows += [(code(task), split, words) for task, words in differences(scores, recorded[split]).items()]
    return table(("task", "split", "items with another result"), rows, left=2)


def data_table(facts: CardFacts) -> str:
    """Where each task's items come from, how many they are, and their hash."""
    rows = []
    for name, task in facts.space.tasks.items():
        written = without_defaults(task)
        cut = written.get("cut")
        for split in ("train", *_SPLITS):
            source = written.get(split) or (cut if split != "train" else None)
            scores = {"val": facts.point.val, "test": facts.point.test}.get(split)
            score = None if scores is None else scores.get(name)
            if source is None and score is None:
                continue
            where = source_words(source or {key: written.get(key) for key in ("suite", "task")})
            trained_on = facts.trained_on.get(name) if split == "train" else None
            rows.append((code(name), split, prose(where), *_items(score, trained_on)))
    return table(("task", "split", "from", "items", "hash of the items"), rows, left=3)


def _items(score: Score | None, trained_on: TrainingSet | None) -> tuple[str, str]:
    if trained_on is not None:
        return str(trained_on.items), "" if trained_on.hash is None else code(trained_on.hash)
    return ("", "") if score is None else (str(len(score.items)), code(score.items_hash))


def source_words(source: Any) -> str:
    """A source in words; of a place on a disk only the end, since a card is shown to others."""
    if isinstance(source, Mapping):
        kind = str(source.get("kind", ""))
        rest = [f"{key} {source_words(value)}" for key, value in source.items() if key != "kind" and value is not None]
        return " ".join(part for part in (kind, ", ".join(rest)) if part)
    if isinstance(source, list):
        return ", ".join(source_words(each) for each in source)
    text = str(source).removeprefix(LOCAL_FOLDER)
    return f"…/{'/'.join(text.split('/')[-2:])}" if text.startswith("/") else text


def prompts_words(prompts: Mapping[str, Prompts]) -> str:
    """The card's lines: tasks of equal classes and templates together."""
    tasks: dict[Prompts, list[str]] = {}
    for name, each in prompts.items():
        tasks.setdefault(each, []).append(code(name))
    lines = [
        f"- {', '.join(names)}: {_listed(each.class_names, _NUM_NAMES)}, in {_listed(each.templates, _NUM_TEMPLATES)}"
        for each, names in tasks.items()
    ]
    return (
        f"The classes by which the tasks are scored, and the prompts in which their names are put for {{}}; "
        f"`{PROMPTS}` has all of them, in the order of the labels.\n\n" + "\n".join(lines)
    )


def _listed(texts: tuple[str, ...], most: int) -> str:
    shown = ", ".join(map(code, texts[:most]))
    return shown + (f" and {len(texts) - most} more" if len(texts) > most else "")
