"""Where the actors live that a sweep cannot spare: on the head, since any other host of a cluster may go."""

from collections.abc import Iterable, Mapping
from typing import Any

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

HEAD = "node:__internal_head__"
"""Ray's resource that the head has, and no other node; 1 of it."""
ON_HEAD = {"CPU": 0.0, HEAD: 0.001}
"""What a slot's own actor asks for, as Ray Train's own actors do: 500 slots fit, also on a head of 0 CPUs. Ray Train's
controller joins the actor that starts it."""


def head_node(nodes: Iterable[Mapping[str, Any]], here: str) -> str:
    """The head's id among `ray.nodes()`, or `here` if none of them says that it is the head."""
    heads = [node["NodeID"] for node in nodes if node["Alive"] and HEAD in node["Resources"]]
    return heads[0] if heads else here


def only_on(node: str) -> dict[str, Any]:
    """Options of an actor that takes no CPU and lives on this node or not at all: Ray 2.60 disregards a soft wish of an
    actor without CPUs."""
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
