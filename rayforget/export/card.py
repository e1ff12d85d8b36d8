"""Facts of an exported model -> its card: README.md as the hub reads it."""

from typing import Any

import yaml

from rayforget.export.card_tables import (
    code,
    data_table,
    differing_table,
    models_table,
    prompts_words,
    prose,
    source_words,
    standard_error,
    tasks_table,
)
from rayforget.export.facts import Adapted, CardFacts
from rayforget.export.one_recipe import without_defaults
from rayforget.frontier.points import THETA_0
from rayforget.frontier.recovered import Pair
from rayforget.printable import printable
from rayforget.record.command import command
from rayforget.report.words.numbers import describe_change, name_point
from rayforget.space.given import Given
from rayforget.space.path_text import LERP

PICTURE = "frontier.png"
ADAPTER = "adapter"
"""The adapter's folder within the model's."""
_TAGS = ("rayforget", "wise-ft", "model-interpolation")


def write_card(facts: CardFacts) -> str:
    """The whole file."""
    return printable(f"---\n{_front_matter(facts)}---\n\n{_body(facts)}")


def _front_matter(facts: CardFacts) -> str:
    """What the hub shows beside a model, and finds it by."""
    from huggingface_hub import EvalResult, ModelCardData

    words, name = facts.words, facts.sweep.info.space_name
    results = [
        EvalResult(
            task_type=words.pipeline,
            dataset_type=role.name,
            dataset_name=role.name,
            dataset_split=split,
            metric_type=scores[role.name].rule,
            metric_name=f"{role.metric} ({role.role})",
            metric_value=round(scores[role.name].value, 6),
            metric_args={"standard_error": round(standard_error(scores[role.name]), 6)},
        )
        for split, scores in facts.point.by_split.items()
        for role in facts.summary.roles
    ]
    data = ModelCardData(
        base_model=words.base_model,
        license=words.license,
        library_name=words.library,
        pipeline_tag=words.pipeline,
        tags=[*_TAGS, *([words.adapter_library] if facts.adapted and words.adapter_library else ())],
        model_name=name,
        eval_results=results,
    )
    written: Any = data.to_dict()  # type: ignore[no-untyped-call]
    return yaml.safe_dump(written, sort_keys=False, allow_unicode=True)


def _body(facts: CardFacts) -> str:
    sections = [
        f"# {prose(facts.sweep.info.space_name)}: {prose(_title(facts))}\n\n{_opening(facts)}",
        f"## Use\n\n```python\n{facts.words.loading}```\n\nFOLDER is this folder. {facts.words.serving}".rstrip(),
        *([f"## The classifier\n\n{facts.aside.note}"] if facts.aside is not None else []),
        f"## Scores\n\n{_scores(facts)}",
        *([_again(facts)] if facts.again is not None else []),
        *([_adapter(facts, facts.adapted)] if facts.adapted is not None else []),
        f"## The frontier\n\n![The frontier with this model]({PICTURE})\n\n{_place(facts)}",
        f"## Recipe\n\n{_recipe(facts)}",
        f"## Data\n\n{data_table(facts)}",
        *([f"## Classes and prompts\n\n{prompts_words(facts.prompts)}"] if facts.prompts else []),
        f"## Where it comes from\n\n{_origin(facts)}",
    ]
    return "\n\n".join(sections) + "\n"


def _title(facts: CardFacts) -> str:
    return name_point(facts.summary.points[facts.index])


def _opening(facts: CardFacts) -> str:
    point = facts.summary.points[facts.index]
    if point.method == THETA_0:
        return f"{prose(facts.words.base)} as it is, without any training: θ0 of a sweep of rayforget."
    path = "" if point.path == LERP else f" on the path {code(point.path)}"
    between = (
        f"{prose(facts.words.base)}, fine-tuned, and then interpolated between the pretrained weights (α = 0) and the "
        f"fine-tuned ones (α = 1): this is α = {point.alpha:g}{path}."
    )
    before, split = facts.summary.theta_0.val, "val"
    if facts.summary.theta_0.test is not None and "test" in facts.measures:
        before, split = facts.summary.theta_0.test, "test"
    after = facts.measures["test" if split == "test" else "val"]
    errors: Pair | None = after.difference_errors
    change = describe_change(after.speciality - before.speciality, before.generality - after.generality, errors)
    return f"{between}\nAgainst the pretrained model it {change} (on {split}; ± one standard error)."


def _scores(facts: CardFacts) -> str:
    untested = "" if facts.point.test is not None else "\nThis point was not scored on `test`.\n"
    return (
        f"In percent, ± one standard error over items. Points are chosen on `val`, so that its scores are optimistic; "
        f"`test` had no say.\n{untested}\n{models_table(facts)}\n\n{tasks_table(facts)}"
    )


def _again(facts: CardFacts) -> str:
    assert facts.again is not None
    return (
        f"## In {facts.dtype}\n\nThe weights were scored in fp32 and are stored here in {facts.dtype}. The folder was "
        "scored again, with the rounded weights and everything else as before:\n\n"
        f"{differing_table(facts.again, facts)}"
    )


def _adapter(facts: CardFacts, adapted: Adapted) -> str:
    return (
        f"## The adapter\n\n`{ADAPTER}/` holds the same model as a {facts.words.adapter_library} adapter of rank "
        f"{adapted.rank} and scale {adapted.scale:g} (α times the recipe's) to the foundation. Its factors are a "
        "singular value decomposition of what the training changed, cut at the recipe's rank, since the record keeps "
        f"merged weights. The largest difference of a weight is {adapted.largest:.1e} of the largest change:\n\n"
        f"{differing_table(adapted.again, facts)}"
    )


def _place(facts: CardFacts) -> str:
    on = facts.index in facts.summary.frontier
    words = "is on the frontier: no other point is better in both" if on else "is not on the frontier"
    return f"Among {len(facts.summary.points)} points this one {words} (on `val`)."


def _recipe(facts: CardFacts) -> str:
    recipe, key = facts.point.recipe, facts.point.key
    if recipe is None:
        return "None: this is the pretrained model."
    if isinstance(recipe, Given):
        return f"{_given(recipe)}\n\nPath {code(key.path)}, α = {key.alpha!r}: the point {code(key.text)}."
    text = yaml.safe_dump(without_defaults(recipe), sort_keys=False, allow_unicode=True)
    name = facts.sweep.info.name
    point = f"{key.trial}/{key.step}/{key.path}/{key.alpha!r}"
    script, space = (command(f"trial {name} {point} --{form}", "runs") for form in ("script", "space"))
    return (
        f"```yaml\n{text}```\n\nTraining {code(key.trial)}, step {key.step} ({100 * facts.fraction:g} % of it), path "
        f"{code(key.path)}, α = {key.alpha!r}: the point {code(key.text)}. On the record's machine, {code(script)} "
        f"prints a script that makes the weights again, and {code(space)} a space file of this recipe."
    )


def _given(recipe: Given) -> str:
    models = "\n".join(f"- {code(source_words(place))}" for place in recipe.models)
    if len(recipe.models) == 1:
        return f"Unknown here: α = 1 is a model that was trained elsewhere.\n\n{models}"
    return f"Unknown here: α = 1 is the mean of the weights of models that were trained elsewhere.\n\n{models}"


def _origin(facts: CardFacts) -> str:
    made = facts.point.record.provenance or facts.sweep.info.provenance
    own, hardware = made.get("code", {}), made.get("hardware", {})
    commit = own.get("commit") or "unknown"
    dirty = ", with changes" if own.get("dirty") else ""
    lines = {
        "sweep": f"{code(facts.sweep.info.name)} of rayforget",
        "commit": f"{code(commit)}{dirty}",
        "code": code(own.get("version", "unknown")),
        "foundation": f"{prose(facts.words.base)}, hash {code(facts.point.record.theta_0_hash)}",
        "fine-tuned weights (α = 1)": f"hash {code(facts.point.record.theta_1_hash)}",
        "this folder": f"{facts.dtype}, hash `{facts.hash}`",
        "licence of the foundation": prose(facts.words.license or "unknown; look it up before you pass the model on"),
        "hardware": prose(", ".join(str(hardware[key]) for key in ("cpu", "gpu") if hardware.get(key)) or "unknown"),
        "versions": prose(
            ", ".join(f"{name} {version}" for name, version in made.get("packages", {}).items()) or "unknown"
        ),
    }
    return "\n".join(f"- {name}: {text}" for name, text in lines.items())
