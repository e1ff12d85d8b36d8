"""How many slots a cluster holds, including nodes that may still come; counting them needs no cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rayforget.errors import SpaceError
from rayforget.on_ray.cluster_size import largest_cluster, refuse_private_storage, slots_that_fit, with_those_to_come
from rayforget.on_ray.slot import worker_resources
from rayforget.space.parts import Resources

HEAD = {"CPU": 8.0}
GPU_NODE = {"CPU": 4.0, "GPU": 1.0}

L4_NODE = {**GPU_NODE, "accelerator_type:L4": 1.0}
L4S = Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1, accelerator="L4")


def config(max_workers: int = 4, **kinds: dict[str, Any]) -> dict[str, Any]:
    workers = kinds or {"gpu_worker": {"min_workers": 0, "max_workers": 4, "resources": GPU_NODE}}
    kinds_of_node = {"head": {"resources": HEAD}, **workers}
    return {"max_workers": max_workers, "head_node_type": "head", "available_node_types": kinds_of_node}


@pytest.mark.parametrize(
    ("asked", "nodes", "slots"),
    [
        (Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1), [HEAD], 0),
        (Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1), [HEAD, GPU_NODE], 1),
        (Resources(slots=4, cpus_per_worker=2, gpus_per_worker=0.25), [GPU_NODE], 2),
        (Resources(slots=4, cpus_per_worker=0.5, gpus_per_worker=0.25), [GPU_NODE], 4),
        (Resources(slots=5, cpus_per_worker=0.2, gpus_per_worker=0.2), [{"CPU": 1.0, "GPU": 1.0}], 5),  # 1 // 0.2 is 4
        (Resources(slots=2, cpus_per_worker=1), [HEAD], 8),
        (Resources(slots=3, cpus_per_worker=1), [{"CPU": 1.0}] * 3, 3),
        (Resources(slots=1, cpus_per_worker=2, workers_per_slot=2), [HEAD, GPU_NODE], 3),
        (L4S, [GPU_NODE, {**GPU_NODE, "accelerator_type:A10G": 1.0}, L4_NODE, L4_NODE], 2),
        (Resources(), [], 0),
    ],
)
def test_slots_are_counted_by_whole_workers_on_each_node(asked: Resources, nodes: list[Any], slots: int) -> None:
    assert slots_that_fit(nodes, asked) == slots


def test_nodes_that_may_come_count_and_so_four_trainings_run_side_by_side() -> None:
    asked = Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1)
    assert largest_cluster(config(), asked) == [HEAD, *[GPU_NODE] * 4]
    assert slots_that_fit(largest_cluster(config(), asked), asked) == 4


def test_no_more_workers_than_the_whole_cluster_may_have_and_the_fitting_kind_first() -> None:
    asked = Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1)
    kinds = {"cpu": {"max_workers": 9, "resources": {"CPU": 64}}, "gpu": {"max_workers": 2, "resources": GPU_NODE}}
    found = largest_cluster(config(3, **kinds), asked)
    assert found == [HEAD, GPU_NODE, GPU_NODE, {"CPU": 64}]
    assert slots_that_fit(found, asked) == 2


def test_workers_ask_for_their_kind_of_card_and_only_nodes_that_have_it_count() -> None:
    kinds = {"a10g": {"max_workers": 9, "resources": GPU_NODE}, "l4": {"max_workers": 2, "resources": L4_NODE}}
    assert slots_that_fit(largest_cluster(config(3, **kinds), L4S), L4S) == 2
    assert slots_that_fit(largest_cluster(config(3, gpu={"max_workers": 3, "resources": {}}), L4S), L4S) == 3
    assert worker_resources(L4S) == {"CPU": 2, "GPU": 1, "accelerator_type:L4": 0.001}
    assert worker_resources(Resources(cpus_per_worker=1)) == {"CPU": 1}
    with pytest.raises(ValueError, match="found L4 with gpus_per_worker: 0"):
        Resources(accelerator="L4")


def test_a_kind_of_unknown_resources_holds_one_worker_a_node() -> None:
    asked = Resources(slots=3, cpus_per_worker=2, gpus_per_worker=1)
    found = largest_cluster(config(3, gpu={"max_workers": 3, "resources": {}}), asked)
    assert slots_that_fit(found, asked) == 3


def test_own_machines_are_head_and_workers_of_one_kind_and_hold_what_the_present_ones_say() -> None:
    asked = Resources(slots=3, cpus_per_worker=1)
    kinds = {"local.cluster.node": {"min_workers": 2, "max_workers": 2, "resources": {}}}
    written = {"max_workers": 2, "head_node_type": "local.cluster.node", "available_node_types": kinds}
    found = largest_cluster(written, asked)
    assert len(found) == 3
    assert slots_that_fit(with_those_to_come([{"CPU": 1.0}], found, asked), asked) == 3
    assert slots_that_fit(with_those_to_come([{"CPU": 1.0}] * 3, found, asked), asked) == 3


def test_a_cluster_that_has_grown_beyond_its_file_counts_as_it_is() -> None:
    asked = Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1)
    now = [HEAD, *[GPU_NODE] * 3]
    assert with_those_to_come(now, largest_cluster(config(2), asked), asked) == now


def test_the_shipped_cluster_holds_the_four_slots_that_its_page_names() -> None:
    text = (Path(__file__).resolve().parents[2] / "cluster.yaml").read_text()
    asked = Resources(slots=4, cpus_per_worker=2, gpus_per_worker=1)
    assert slots_that_fit(largest_cluster(yaml.safe_load(text), asked), asked) == 4


def test_a_folder_on_several_nodes_is_refused_with_the_reason_and_what_to_say() -> None:
    refuse_private_storage("/runs", 1)
    with pytest.raises(SpaceError, match=r"^space.yaml:3: storage.path: /runs is a folder, .* 5 nodes .*shared=true"):
        refuse_private_storage("/runs", 5, "space.yaml:3: ")
