"""`rayforget ui NAME`: MLflow's UI on a sweep's store; `rayforget ui --cluster FILE`: a cluster's own MLflow, here."""

import sys
import threading
from pathlib import Path

from rayforget.errors import RayforgetError
from rayforget.on_ray.remote.head import head_of
from rayforget.on_ray.remote.reach import say
from rayforget.on_ray.remote.tunnel import free_port, tunnel
from rayforget.printable import one_line
from rayforget.record.names import check_name
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.mirror import newest_links
from rayforget.report.mlflow.tracking import MirrorError, Tracking
from rayforget.report.mlflow.ui import DEFAULT_PORT, run_ui
from rayforget.report.terminal.live import open_console

_ON_HEAD = 5000
"""MLflow's port on the head's loopback, as cluster/mlflow.sh serves it."""


def open_ui(storage: str, name: str, port: int) -> int:
    """Runs MLflow's UI on a sweep's store until Ctrl-C; returns the exit code.

    Raises:
        RecordError: there is no such sweep, or nothing is mirrored yet.
        MirrorError: there is no store that MLflow could open.
    """
    sweep = Sweep.open(Store.open(storage), name)
    return run_ui(sweep, space_here(sweep, storage), port, open_console())


def open_ui_of_cluster(cluster: Path, name: str | None, port: int) -> int:
    """Holds a tunnel to the MLflow on a cluster's head until Ctrl-C, and prints the links to the sweeps' points.

    Args:
        cluster: the file of `ray up`.
        name: a sweep's, for its link alone.
        port: this machine's; if the usual one is taken, another is.

    Raises:
        RayforgetError: the head is not reached, or no MLflow answers there.
        RecordError: no sweep can have that name.
    """
    if name is not None:
        check_name(name)
    with tunnel(head_of(cluster), remote=_ON_HEAD, local=_free(port), tell=say) as found:
        address = f"http://127.0.0.1:{found.port}"
        try:
            links = newest_links(Tracking(uri=address, artifacts=None), identity=name)
        except MirrorError as error:
            log = "it should be at the head's port 5000, and its log in ~/mlflow/server.log there"
            raise RayforgetError(f"MLflow does not answer on the head of {cluster}: {log} ({error})") from None
        print(f"MLflow of the cluster: {address}  (Ctrl-C ends the tunnel, not MLflow)")
        for sweep, link in links:
            print(f"points of {one_line(sweep)} as charts: {address}{link}")
        if not links:
            what = "a sweep" if name is None else f"sweep {name}"
            print(f"it does not hold {what} yet; a sweep is there once its first trainings are done")
        sys.stdout.flush()  # it may be a pipe or a file
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


def _free(port: int) -> int:
    try:
        return free_port(port)
    except RayforgetError:
        if port != DEFAULT_PORT:
            raise
        return free_port()
