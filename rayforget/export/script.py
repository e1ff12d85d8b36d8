"""A recorded training -> a Python script over the core, without Ray, that makes its weights again and checks them.

A record may come from elsewhere, and whoever prints the script will run it: every text of the record is written as a
literal, or, in the docstring, without the characters that could end it.
"""

import json
from typing import Any

from rayforget.export.one_recipe import space_of_recipe, without_defaults
from rayforget.interpolate.hashing import CHANGED_FROM
from rayforget.printable import one_line
from rayforget.record.weights import weights_name
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.values.records import CheckpointRecord

_PACKAGES = ("rayforget", "torch", "numpy", "open_clip_torch", "transformers", "peft")
_SCRIPT = '''\
"""Trains {trial} of sweep {sweep} again, up to step {step}, and checks that its weights are the recorded ones.

    {start} again.py [FILE]

FILE keeps them: as {weights} in the sweep's folder they can be exported.
The same bits come out on the same machine with the same versions; recorded were
{machine},
{packages}.
"""

{imports}import sys

import torch
from safetensors.torch import save_file

from rayforget.determinism import deterministic
from rayforget.trial.equipment import device_of
from rayforget.foundations.prepare import prepare_foundation
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import changed_tensors
from rayforget.record.cache_folder import cache_folder
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.space.seeds import derive_seed
from rayforget.train.loop import train
from rayforget.train.penalties.sources import FoundationSources

SPACE = Space.model_validate({{
{space}
}})
RECIPE = Recipe.model_validate({recipe})
THETA_0, THETA_1 = {theta_0}, {theta_1}

torch.set_num_threads({threads})
device = device_of(SPACE.resources, {local_rank})
{ranks}foundation = prepare_foundation(SPACE, cache=cache_folder(SPACE), device=device)
if foundation.theta_0_hash != THETA_0:
    sys.exit(f"foundation.model has hash {{foundation.theta_0_hash}}, the training started from {{THETA_0}}")
{kernels}with deterministic(SPACE.resources.deterministic):
    snapshots = train(
        foundation.learner(RECIPE), RECIPE, seed=derive_seed(SPACE.search.seed, RECIPE.key, "train"),
        fractions=SPACE.curve.fractions, sharded=SPACE.resources.sharding == "fsdp",
        sources=FoundationSources(foundation, RECIPE, device, None),
    )
    theta_1 = next(each.theta_1 for each in snapshots if each.step == {step})
if (found := state_hash(theta_1)) != THETA_1:
    sys.exit(f"theta_1 has hash {{found}}, recorded was {{THETA_1}}: another machine, other versions or other data")
print(f"theta_1 has the recorded hash {{found}}")
if len(sys.argv) > 1{first}:
    changed = changed_tensors(foundation.initial(RECIPE), theta_1)
    save_file(changed, sys.argv[1], metadata={{"{changed_from}": THETA_0}})
'''
_ONE = {"imports": "", "local_rank": "0", "ranks": "", "first": ""}
_SEVERAL = {
    "imports": "import os\n",
    "local_rank": 'int(os.environ["LOCAL_RANK"])',
    "ranks": 'torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")\n',
    "first": ' and os.environ["RANK"] == "0"',
}


def reproducing_script(space: Space, record: CheckpointRecord, sweep: str) -> str:
    """At most 60 lines; lines of settings are as long as these are.

    Args:
        space: the sweep's.
        record: the checkpoint's, which did not fail.
        sweep: the sweep's name.
    """
    recipe = Recipe.model_validate(record.recipe)
    tree: dict[str, Any] = space_of_recipe(space, recipe) | {"curve": without_defaults(space.curve)}
    tree.pop("tracking", None)
    workers = space.resources.workers_per_slot
    start = "python" if workers == 1 else f"torchrun --nproc-per-node {workers}"
    hardware, packages = (record.provenance.get(key, {}) for key in ("hardware", "packages"))
    device = hardware.get("gpu") or hardware.get("cpu") or "an unknown processor"
    threads = max(1, int(space.resources.cpus_per_worker))
    return _SCRIPT.format(
        trial=_told(record.trial),
        sweep=_told(sweep),
        step=record.step,
        start=start,
        weights=_told(weights_name(record.trial, record.step)),
        machine=_told(f"{device}, {hardware.get('torch_threads', threads)} threads"),
        packages=_told(
            ", ".join(f"{name} {packages[name]}" for name in _PACKAGES if name in packages) or "no versions"
        ),
        space="\n".join(f"    {key!r}: {value!r}," for key, value in tree.items()),
        recipe=repr(record.recipe),
        theta_0=json.dumps(record.theta_0_hash),
        theta_1=json.dumps(record.theta_1_hash),
        threads=threads,
        kernels=_kernels(record),
        changed_from=CHANGED_FROM,
        **(_SEVERAL if workers > 1 else _ONE),
    )


def _told(text: str) -> str:
    """A text for the docstring, which it cannot end."""
    return one_line(text).replace("\\", "/").replace('"', "'")


def _kernels(record: CheckpointRecord) -> str:
    """A line that makes the foundation train with the kernels that the sweep chose on its card; none on a CPU."""
    kernel = record.facts.get("kernel")
    if kernel is None:
        return ""
    chosen = {"kernel": None if kernel == "dense" else kernel, "sizes_repeat": True}
    return f"foundation.use_kernels({chosen!r})\n"
