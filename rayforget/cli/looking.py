"""The commands on sweeps that are there: list, status, frontier, report, mirror, ui, rm."""

from pathlib import Path
from typing import Annotated

import typer

from rayforget.cli.options import Storage, SweepName, refuse


def list_(storage: Storage = "runs") -> None:
    """List the sweeps."""
    from rayforget.commands.list import print_sweeps

    print_sweeps(storage)


def status(name: SweepName, storage: Storage = "runs") -> None:
    """Show how far a sweep is and what failed."""
    from rayforget.commands.status import print_status

    print_status(storage, name)


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


def report(
    name: SweepName,
    storage: Storage = "runs",
    out: Annotated[Path | None, typer.Option(help="A file that ends in .html, or a folder for frontier.html.")] = None,
) -> None:
    """Write the report: one HTML page to explore, read and print, which needs no network."""
    from rayforget.commands.report import write_report

    write_report(storage, name, out)


def mirror(
    name: SweepName,
    storage: Storage = "runs",
    register: Annotated[
        bool, typer.Option("--register", help="Make the picked point the `champion` in MLflow's model registry.")
    ] = False,
) -> None:
    """Write a sweep's record to MLflow; doing it again changes nothing."""
    from rayforget.commands.mirror import mirror_sweep

    mirror_sweep(storage, name, register=register)


def ui(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of a sweep; with --cluster it may be left out.")
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", metavar="FILE", help="Of `ray up`: the MLflow of its head, through a tunnel."),
    ] = None,
    storage: Storage = "runs",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 5000,
) -> None:
    """Open MLflow's UI on a sweep's store, or the one of a cluster."""
    from rayforget.commands.ui import open_ui, open_ui_of_cluster

    if cluster is not None:
        raise typer.Exit(open_ui_of_cluster(cluster, name, port))
    if name is None:
        refuse("name a sweep (`rayforget list` shows them), or a cluster: --cluster cluster.yaml")
    raise typer.Exit(open_ui(storage, name, port))


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
