"""The command line: rayforget sweep | check | frontier | status | list | mirror | ui | rm | schema."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Finds what fine-tuning costs a foundation model in generality, and which recipes and interpolations buy it "
    "back.",
)

SpaceFile = Annotated[Path | None, typer.Argument(help="Space file (YAML); the built-in quickstart when left out.")]
SweepName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a sweep; `rayforget list` shows them.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the space file; repeatable.")
]
Trials = Annotated[int | None, typer.Option("--trials", help="Trainings of the sweep (search.trainings).")]
Storage = Annotated[
    str, typer.Option("--storage", help="Folder or URI that holds the sweeps.", envvar="RAYFORGET_STORAGE")
]
SweepStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Folder or URI that holds the sweeps; default: the space's storage.path, of --resume `runs`.",
        envvar="RAYFORGET_STORAGE",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Ray's own messages too.")]


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("rayforget"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of rayforget itself; the application's own help stands for this one."""


@app.command()
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
    from rayforget.space.load import load_space

    if address is not None and address.startswith(("http://", "https://")):
        from rayforget.on_ray.submit import submit_sweep

        code = submit_sweep(
            address,
            space=space,
            overrides=_overrides(set_, trials, storage if resume is None else None),
            name=name,
            resume=resume,
            storage=storage,
            paths_on_cluster=paths_on_cluster,
        )
        raise typer.Exit(code)
    if resume is not None:
        if space is not None:
            _refuse("--resume takes the space from the record; leave the space file out")
        if name is not None:
            _refuse(f"--resume {resume} goes on under that name; leave --name out")
        place = "runs" if storage is None else storage
        raise typer.Exit(resume_sweep(resume, place, _overrides(set_, trials), address=address, verbose=verbose))
    loaded = load_space(_path(space), _overrides(set_, trials, storage))
    raise typer.Exit(start_sweep(loaded, name=name, address=address, verbose=verbose))


@app.command()
def check(
    space: SpaceFile = None,
    set_: Set = None,
    trials: Trials = None,
    probe: Annotated[bool, typer.Option(help="Time a few steps to estimate how long the sweep takes.")] = True,
) -> None:
    """Check a space file and its data, and print what running it would take; starts and writes nothing."""
    from rayforget.commands.check import print_plan
    from rayforget.space.load import load_space

    print_plan(load_space(_path(space), _overrides(set_, trials)), probe=probe)


@app.command()
def schema() -> None:
    """Print the JSON Schema of space files, for editors."""
    import json

    from rayforget.space.schema import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command("list")
def list_(storage: Storage = "runs") -> None:
    """List the sweeps."""
    from rayforget.commands.list import print_sweeps

    print_sweeps(storage)


@app.command()
def status(name: SweepName, storage: Storage = "runs") -> None:
    """Show how far a sweep is and what failed."""
    from rayforget.commands.status import print_status

    print_status(storage, name)


@app.command()
def frontier(
    name: SweepName,
    storage: Storage = "runs",
    out: Annotated[Path | None, typer.Option(help="Folder for frontier.png and frontier.html.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Also score tasks with one labelled split on the whole of it.")
    ] = False,
) -> None:
    """Print the frontier and what each method recovers; draw frontier.png and frontier.html."""
    from rayforget.commands.frontier import show_frontier

    show_frontier(storage, name, out, full=full)


@app.command()
def mirror(name: SweepName, storage: Storage = "runs") -> None:
    """Write a sweep's record to MLflow; doing it again changes nothing."""
    from rayforget.commands.mirror import mirror_sweep

    mirror_sweep(storage, name)


@app.command()
def ui(
    name: SweepName,
    storage: Storage = "runs",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 5000,
) -> None:
    """Open MLflow's UI on a sweep's store."""
    from rayforget.commands.ui import open_ui

    raise typer.Exit(open_ui(storage, name, port))


@app.command()
def rm(
    name: SweepName,
    storage: Storage = "runs",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a sweep: its record, its weights, its drawings. What MLflow holds stays."""
    from rayforget.commands.rm import remove_sweep

    if not yes:
        typer.confirm(f"delete sweep {name} in {storage} for good?", abort=True)
    remove_sweep(storage, name)


def main() -> None:
    """Runs a command; a fault in the user's input, or of a disk, is one message and exit code 2."""
    _quiet()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows ?
            stream.reconfigure(errors="replace")
    from rayforget.errors import RayforgetError
    from rayforget.extension_use import naming_the_blamed

    try:
        try:
            with naming_the_blamed():
                app()
        finally:
            sys.stdout.flush()
    except RayforgetError as error:
        from rayforget.printable import printable

        print(printable(str(error)), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        from rayforget.printable import one_line

        reason = one_line(" ".join(str(error).split()))
        print(f"the system refused ({type(error).__name__}: {reason}); mend that and try again", file=sys.stderr)
        sys.exit(2)


def _quiet() -> None:
    """Turns off telemetry unless the user asks for it, hides libraries' progress bars, keeps ranks to their threads."""
    for variable, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        os.environ.setdefault(variable, value)


def _path(space: Path | None) -> Path:
    if space is not None:
        return space
    from rayforget.space.shipped import quickstart

    return quickstart()


def _overrides(set_: list[str] | None, trials: int | None, storage: str | None = None) -> tuple[str, ...]:
    overrides = list(set_ or [])
    if trials is not None:
        overrides.append(f"search.trainings={trials}")
    if storage is not None:
        overrides.append(f"storage.path={storage}")
    return tuple(overrides)


def _refuse(message: str) -> None:
    from rayforget.errors import SpaceError

    raise SpaceError(message)


if __name__ == "__main__":
    main()
