"""A valid space that may not be what was meant -> lines that `rayforget check` prints with the plan."""

from collections.abc import Iterator

from rayforget.space.file.load import LoadedSpace


def notes(loaded: LoadedSpace) -> tuple[str, ...]:
    """What to know before the sweep starts; empty for most spaces."""
    return tuple(_notes(loaded))


def _notes(loaded: LoadedSpace) -> Iterator[str]:
    search, num_methods = loaded.space.search, len(loaded.methods)
    place = loaded.where("search.trainings")
    num_recipes = search.trainings // search.seeds
    if search.balance == "method" and num_recipes % num_methods:
        fair = (num_recipes // num_methods + 1) * num_methods * search.seeds
        yield (
            f"search.trainings: {search.trainings} trainings do not divide evenly over {num_methods} methods"
            f"{_times(search.seeds)}, and methods are compared at equal numbers; {fair} would ({place})"
        )
    if search.sampler == "tpe" and search.startup >= search.trainings:
        yield (
            f"search.startup: all {search.trainings} trainings are drawn at random: the sampler takes over after "
            f"{search.startup} ({loaded.where('search.startup')})"
        )
    if search.sampler == "nsga2":
        yield "search.sampler: nsga2 learns from one point of each curve, the one it asked for; tpe can learn from all"
    for method in loaded.methods:
        if not method.domains and num_recipes > num_methods:
            yield (
                f"methods.{method.name}: has no domain, so that its trainings repeat one recipe "
                f"({loaded.where(f'methods.{method.name}')})"
            )


def _times(seeds: int) -> str:
    return "" if seeds == 1 else f" x {seeds} seeds"
