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
