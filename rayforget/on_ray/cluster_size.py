"""The nodes of a cluster, including those that its autoscaler may add -> how many slots it can hold."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rayforget.errors import SpaceError
from rayforget.space.parts import Resources

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""`ray up`'s file on the head node: the cluster's configuration, with the resources of each kind of node."""
Node = Mapping[str, float]
"""A node's resources by name: CPU, GPU."""


def card(name: str) -> str:
    """Ray's resource that nodes with this card have."""
    return f"accelerator_type:{name}"


def whole_times(have: float, asked: float) -> int:
    """How often what is asked fits; 0.2 fits 5 times into 1, of which floor division makes 4."""
    return math.floor(have / asked + 1e-6)


def slots_that_fit(nodes: Sequence[Node], resources: Resources) -> int:
    """Slots whose workers fit on these nodes side by side; the slots' own processes take no CPUs."""
    workers = 0
    for node in nodes:
        fits = whole_times(node.get("CPU", 0), resources.cpus_per_worker)
        if resources.gpus_per_worker:
            fits = min(fits, whole_times(node.get("GPU", 0), resources.gpus_per_worker))
        if resources.accelerator is not None and card(resources.accelerator) not in node:
            fits = 0
        workers += max(0, fits)
    return workers // resources.workers_per_slot


def largest_cluster(config: Mapping[str, Any], resources: Resources) -> list[Node]:
    """The head and as many workers as the configuration allows, starting with the kinds that hold most workers of a
    slot.

    A kind of node with unspecified resources is assumed to hold one worker: the cloud's answer is not known here, and
    Ray reports a slot that fits nowhere.
    """
    head: list[Node] = []
    workers: list[Node] = []
    for name, kind in config.get("available_node_types", {}).items():
        node: Node = kind.get("resources") or {}
        limit = config.get("max_workers", 0)
        if name == config.get("head_node_type"):
            head.append(node)
            limit = 0  # unless the kind says otherwise, as that of all own machines does
        if not node:
            node = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
            node |= {} if resources.accelerator is None else {card(resources.accelerator): 1}
        workers += [node] * int(kind.get("max_workers", limit))
    single = resources.model_copy(update={"workers_per_slot": 1})
    workers.sort(key=lambda node: -slots_that_fit([node], single))
    return head + workers[: int(config.get("max_workers", 2))]


def refuse_private_storage(path: str, num_nodes: int, where: str = "") -> None:
    """Refuses a storage folder on a cluster of several nodes.

    Args:
        path: the local folder.
        num_nodes: number of nodes that the cluster has, or may get.
        where: `space.yaml:12: `, for the message.

    Raises:
        SpaceError: there is more than one node.
    """
    if num_nodes > 1:
        raise SpaceError(
            f"{where}storage.path: {path} is a folder, and each of the cluster's {num_nodes} nodes sees its own disk: "
            "workers would write a record that the driver never finds; give a URI (--storage s3://BUCKET/runs), or, if "
            "it lies on a disk that all nodes share, say --set storage.shared=true"
        )


def nodes_now() -> list[Node]:
    """The living nodes of the cluster that this process has joined."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def cluster_nodes(resources: Resources) -> list[Node]:
    """The nodes now and those that the autoscaler may add.

    Only clusters of `ray up` say how large they may become, and only on their head node.
    """
    import yaml

    now, config = nodes_now(), BOOTSTRAP.expanduser()
    if not config.is_file():
        return now
    return with_those_to_come(now, largest_cluster(yaml.safe_load(config.read_text()), resources), resources)


def with_those_to_come(now: Sequence[Node], largest: Sequence[Node], resources: Resources) -> list[Node]:
    """A cluster's nodes once it has grown to its largest, which knows how many there will be but not always what they
    hold: those that are there tell it themselves."""
    grown, written = [*now, *largest[len(now) :]], list(largest)
    return max(grown, written, key=lambda nodes: slots_that_fit(nodes, resources))
