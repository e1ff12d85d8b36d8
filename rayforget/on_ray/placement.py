"""Where the actors live that a sweep cannot spare: on the head, since any other host of a cluster may go.

And what a dead actor still holds of the cluster is given back.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

logger = logging.getLogger(__name__)
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


def remove_orphaned_groups() -> int:
    """Removes this job's placement groups whose creator, an actor, is dead; returns their number.

    Ray itself keeps them until the job ends. Ray Train 2.60's own cleaner learns of a worker group's placement group
    only when all workers have started, so that a controller which dies before that leaves its CPUs and GPUs reserved,
    and the slot's next group waits for them for ever. Who made a group, Ray's public tables do not say.
    """
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]

    job = ray.get_runtime_context().get_job_id()
    found = 0
    for message in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(message)
        ours = group.creator_job_id.hex() == job and not group.is_detached
        if ours and group.creator_actor_dead and group.state != PlacementGroupTableData.REMOVED and _an_actors(group):
            logger.warning("placement group %s, which a dead actor made, is removed", group.placement_group_id.hex())
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
            found += 1
    return found


def _an_actors(group: Any) -> bool:
    return bool(group.creator_actor_id.strip(b"\xff"))
