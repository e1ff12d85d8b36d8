"""The commands that give away what a sweep found: export, trial."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rayforget.cli.options import Storage, SweepName, refuse


class Dtype(StrEnum):
    """The type of the tensors in an exported folder."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


def export(
    name: SweepName,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the model.")],
    storage: Storage = "runs",
    point: Annotated[
        str | None,
        typer.Option(metavar="TRIAL/STEP/PATH/ALPHA", help="The point; default: what `rayforget pick` takes."),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="fp32 is what was scored, to the bit; bf16 and fp16 are scored again.")
    ] = Dtype.FP32,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Language models: also write a LoRA point as a peft adapter.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload the folder to the Hugging Face hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="With --push: a new repository is private.")] = False,
) -> None:
    """Export a point as a model folder that open_clip or transformers loads, with a model card."""
    from rayforget.commands.export import export as export_point

    if private and push is None:
        refuse("--private is about --push OWNER/NAME; give that too, or leave it out")
    export_point(storage, name, folder, point=point, dtype=dtype.value, adapter=adapter, push=push, private=private)


def trial(
    name: SweepName,
    training: Annotated[
        str, typer.Argument(metavar="TRIAL", help="A training, or a point of it (TRIAL/STEP/PATH/ALPHA).")
    ],
    storage: Storage = "runs",
    step: Annotated[int | None, typer.Option(help="A checkpoint of it; default: the last.")] = None,
    script: Annotated[
        bool, typer.Option("--script", help="Print a Python script that makes its weights again.")
    ] = False,
    space: Annotated[bool, typer.Option("--space", help="Print a space file of this one recipe.")] = False,
) -> None:
    """Show a training's recipe and checkpoints, or print what makes it again."""
    from rayforget.commands.trial import print_script, print_space, show_trial

    if script and space:
        refuse("found --script and --space; give one of them")
    chosen = print_script if script else print_space if space else show_trial
    chosen(storage, name, training, step)
