"""What a sweep cannot spare is asked of Ray for the head alone, and takes none of its CPUs."""

from typing import Any

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rayforget.on_ray.placement import HEAD, ON_HEAD, head_node, only_on


def node(name: str, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": 1.0, **resources}}


def test_the_head_is_the_living_node_that_says_so() -> None:
    former, head = node("former", alive=False, **{HEAD: 1.0}), node("head", **{HEAD: 1.0})
    assert head_node([node("worker"), former, head], "worker") == "head"
    assert head_node([node("worker")], "worker") == "worker"


def test_an_actor_of_a_node_lives_there_or_nowhere_and_takes_no_cpu() -> None:
    options = only_on("ab" * 28)
    strategy = options["scheduling_strategy"]
    assert isinstance(strategy, NodeAffinitySchedulingStrategy)
    assert (strategy.node_id, strategy.soft) == ("ab" * 28, False)
    assert options["num_cpus"] == 0


def test_a_slots_own_actor_fits_a_head_without_cpus_and_nothing_else() -> None:
    from ray.tune.execution.placement_groups import resource_dict_to_pg_factory

    (bundle,) = resource_dict_to_pg_factory(ON_HEAD).bundles
    assert bundle.keys() == {HEAD}
    assert bundle[HEAD] * 1000 <= 1
