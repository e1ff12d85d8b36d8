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
        verb = "does" if search.trainings == 1 else "do"
        yield (
            f"search.trainings: {_trainings(search.trainings)} {verb} not divide evenly over {num_methods} methods"
            f"{_times(search.seeds)}, and methods are compared at equal numbers; {fair} would ({place})"
        )
    searched = any(method.domains for method in loaded.methods)
    if search.sampler != "random" and search.startup >= search.trainings and searched:
        drawn = "there is 1: its recipe is" if search.trainings == 1 else f"there are {search.trainings}: all are"
        yield (
            f"search.startup: the sampler takes over after {_trainings(search.startup)}, and {drawn} drawn at random "
            f"({loaded.where('search.startup')})"
        )
    if search.sampler == "nsga2":
        yield "search.sampler: nsga2 learns from one point of each curve, the one it asked for; tpe can learn from all"
    for method in loaded.methods:
        if not method.domains and num_recipes > num_methods:
            yield (
                f"methods.{method.name}: has no domain, so that its trainings repeat one recipe "
                f"({loaded.where(f'methods.{method.name}')})"
            )


def _trainings(count: int) -> str:
    return f"{count} training{'' if count == 1 else 's'}"


def _times(seeds: int) -> str:
    return "" if seeds == 1 else f" x {seeds} seeds"
