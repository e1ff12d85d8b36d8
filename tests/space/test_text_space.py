"""Spaces of language models: what fits them, what is learnt and scored, and what may go elsewhere."""

from collections.abc import Callable
from pathlib import Path

from rayforget.frontier.points import task_roles
from rayforget.space.file.elsewhere import check_elsewhere
from rayforget.space.file.load import load_space


def test_a_small_space_passes_and_counts_only_what_is_scored(text_space: Callable[..., Path]) -> None:
    loaded = load_space(text_space())
    assert [(role.name, role.role, role.group) for role in task_roles(loaded.space)] == [
        ("medicine", "speciality", ""),
        ("common", "generality", "common_sense"),
    ]
    check_elsewhere(loaded, paths_on_cluster=False)


def test_sharded_workers_may_distil_weights_that_are_all_trained(text_space: Callable[..., Path]) -> None:
    path = text_space(
        {
            25: "  full: {penalties: [{kind: kd, strength: 1}]}",
            33: "resources: {cache: /mnt/cache, sharding: fsdp, workers_per_slot: 2}",
        }
    )
    assert load_space(path).space.resources.sharding == "fsdp"


def test_a_model_and_a_data_set_of_the_hub_are_everywhere(text_space: Callable[..., Path]) -> None:
    hub = "    val: {kind: dataset, path: owner/name, split: validation}"
    lines = {2: "foundation: {kind: causal_lm, model: facebook/galactica-1.3b}", 8: hub}
    check_elsewhere(load_space(text_space(lines)), paths_on_cluster=False)
