"""The commands on models that are there already: interpolate, evaluate."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from rayforget.cli.options import Set, SpaceStorage, Verbose, overrides

Tasks = Annotated[
    Path,
    typer.Option(
        "--tasks",
        metavar="SPACE.yaml",
        help="Space file whose tasks are scored; its foundation says what kind of model it is.",
    ),
]
_SPLITS: tuple[Literal["val", "test"], ...] = ("val", "test")


class Splits(StrEnum):
    """What `--split` takes."""

    val = "val"
    test = "test"
    both = "both"

    @property
    def names(self) -> tuple[Literal["val", "test"], ...]:
        """The splits' own names."""
        return tuple(name for name in _SPLITS if self.value in (name, "both"))


def interpolate(
    tuned: Annotated[
        list[str], typer.Option("--tuned", metavar="MODEL", help="A model tuned from the base; repeat it for soups.")
    ],
    tasks: Tasks,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="The model before; the space file's foundation when left out."),
    ] = None,
    set_: Set = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; default: space and time.")] = None,
    storage: SpaceStorage = None,
    verbose: Verbose = False,
) -> None:
    """Walk from a base model to models that were tuned from it, and show the frontier; nothing is trained."""
    from rayforget.commands.interpolate import start_models
    from rayforget.space.given_space import load_given

    named = None if base is None else ("--base", base)
    loaded = load_given(tasks, overrides(set_, None, storage), base=named, tuned=tuned)
    raise typer.Exit(start_models(loaded, name=name, verbose=verbose))


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder, file of weights, or name of a model.")],
    tasks: Tasks,
    split: Annotated[Splits, typer.Option("--split", help="Which items to score.")] = Splits.val,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, with every digit.")] = False,
    set_: Set = None,
    storage: SpaceStorage = None,
    verbose: Verbose = False,
) -> None:
    """Score one model on a space's tasks."""
    from rayforget.commands.evaluate import evaluate_model
    from rayforget.space.given_space import load_given

    loaded = load_given(tasks, overrides(set_, None, storage), base=("MODEL", model))
    evaluate_model(loaded, split.names, as_json=json_, verbose=verbose)
