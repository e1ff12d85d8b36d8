"""The words for plain fine-tuning's models: seeds of a recipe, or models that were given."""

from rayforget.frontier.summary import Summary


def plain_is_given(summary: Summary) -> bool:
    """Whether the baseline consists of models that nobody trained here."""
    return summary.plain is not None and any("models" in summary.points[i].recipe for i in summary.plain.points)


def seed_word(summary: Summary) -> str:
    """What the baseline is the mean of: `seed` or `model`."""
    return "model" if plain_is_given(summary) else "seed"


def mean_of_seeds(summary: Summary, one: str = "one") -> str:
    """`mean of 3 seeds`, `one seed`, `mean of 2 models`; needs the baseline."""
    assert summary.plain is not None
    number, word = len(summary.plain.points), seed_word(summary)
    return f"mean of {number} {word}s" if number > 1 else f"{one} {word}"


def baseline_name(summary: Summary) -> str:
    """The baseline in a sentence: `plain fine-tuning`, or `the tuned models` that were given in its place."""
    if not plain_is_given(summary):
        return "plain fine-tuning"
    assert summary.plain is not None
    return "the tuned model" if len(summary.plain.points) == 1 else "the tuned models"


def baseline_label(summary: Summary) -> str:
    """The baseline beside its mark, or in a table: `plain fine-tuning`, `tuned models`."""
    return baseline_name(summary).removeprefix("the ")


def recovered_meaning(summary: Summary) -> str:
    """What 1 recovered is: `all the speciality of plain fine-tuning with none of its forgetting`."""
    name = baseline_name(summary)
    return f"all the speciality of {name} with none of {'their' if name.endswith('models') else 'its'} forgetting"


def of_baseline(reason: str, summary: Summary) -> str:
    """A reason why a value is undefined, of these models where they were given."""
    return reason.replace("plain fine-tuning", baseline_name(summary))
