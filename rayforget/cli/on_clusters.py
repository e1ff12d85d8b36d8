"""The commands on a cluster, from a machine that is none of its nodes: submit, attach, stop, logs."""

from pathlib import Path
from typing import Annotated

import typer

from rayforget.cli.options import Set, SpaceFile, SweepName, SweepStorage, Trials, overrides

Cluster = Annotated[
    Path | None, typer.Option("--cluster", metavar="FILE", help="The cluster file that `ray up` was given.")
]
Dashboard = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", help="Instead of --cluster: http://localhost:8265, a tunnel of your own."),
]


def submit(
    space: SpaceFile = None,
    cluster: Cluster = None,
    address: Dashboard = None,
    set_: Set = None,
    trials: Trials = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; default: space and time.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="NAME", help="Go on with a sweep.")] = None,
    storage: SweepStorage = None,
    paths_on_cluster: Annotated[
        bool, typer.Option("--paths-on-cluster", help="The space's local paths exist on every node.")
    ] = False,
) -> None:
    """Run a sweep as a job of a cluster, and print what it says; Ctrl-C ends the printing, not the sweep."""
    from rayforget.commands.submit import submit_there

    code = submit_there(
        cluster,
        address,
        space=space,
        overrides=overrides(set_, trials, storage if resume is None else None),
        name=name,
        resume=resume,
        storage=storage,
        paths_on_cluster=paths_on_cluster,
    )
    raise typer.Exit(code)


def attach(name: SweepName, cluster: Cluster = None, address: Dashboard = None) -> None:
    """Print again, from its beginning, what a sweep on a cluster says, until it ends; with its exit code."""
    from rayforget.commands.attach import attach_to

    raise typer.Exit(attach_to(name, cluster, address))


def stop(name: SweepName, cluster: Cluster = None, address: Dashboard = None) -> None:
    """Stop a sweep on a cluster, so that it can go on later."""
    from rayforget.commands.stop import stop_sweep

    raise typer.Exit(stop_sweep(name, cluster, address))


def logs(
    name: SweepName,
    trial: Annotated[str | None, typer.Argument(metavar="[TRIAL]", help="One training alone: 0007-l2.")] = None,
    cluster: Cluster = None,
    address: Dashboard = None,
) -> None:
    """Print what a sweep on a cluster has said so far, or what its workers said about one training."""
    from rayforget.commands.logs import print_logs

    print_logs(name, trial, cluster, address)
