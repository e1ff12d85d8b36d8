"""The commands that run something: sweep, check, schema."""

from typing import Annotated

import typer

from rayforget.cli.options import Set, SpaceFile, SweepStorage, Trials, Verbose, overrides, path_of, refuse


def sweep(
    space: SpaceFile = None,
    set_: Set = None,
    trials: Trials = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; default: space and time.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="NAME", help="Go on with a sweep.")] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster: `auto` (RAY_ADDRESS, else one of this machine) or HOST:PORT joins it; http://HOST:8265 "
            "submits the sweep as a job. Left out, the sweep runs on this machine alone, whatever RAY_ADDRESS says."
        ),
    ] = None,
    storage: SweepStorage = None,
    paths_on_cluster: Annotated[
        bool, typer.Option("--paths-on-cluster", help="Of a submitted job: the space's local paths exist there.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Fine-tune in many ways, walk from each result back to the pretrained model, and show the frontier."""
    from rayforget.commands.sweep import resume_sweep, start_sweep
    from rayforget.space.file.load import load_space

    if address is not None and address.startswith(("http://", "https://")):
        from rayforget.commands.submit import submit_there

        code = submit_there(
            None,
            address,
            space=space,
            overrides=overrides(set_, trials, storage if resume is None else None),
            name=name,
            resume=resume,
            storage=storage,
            paths_on_cluster=paths_on_cluster,
        )
        raise typer.Exit(code)
    if resume is not None:
        if space is not None:
            refuse("--resume takes the space from the record; leave the space file out")
        if name is not None:
            refuse(f"--resume {resume} goes on under that name; leave --name out")
        place = "runs" if storage is None else storage
        raise typer.Exit(resume_sweep(resume, place, overrides(set_, trials), address=address, verbose=verbose))
    loaded = load_space(path_of(space), overrides(set_, trials, storage))
    raise typer.Exit(start_sweep(loaded, name=name, address=address, verbose=verbose))


def check(
    space: SpaceFile = None,
    set_: Set = None,
    trials: Trials = None,
    probe: Annotated[bool, typer.Option(help="Time a few steps to estimate how long the sweep takes.")] = True,
) -> None:
    """Check a space file and its data, and print what running it would take; starts and writes nothing."""
    from rayforget.commands.check import print_plan
    from rayforget.space.file.load import load_space

    print_plan(load_space(path_of(space), overrides(set_, trials)), probe=probe)


def schema() -> None:
    """Print the JSON Schema of space files, for editors."""
    import json

    from rayforget.space.file.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
